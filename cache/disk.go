package cache

import "errors"

// How units come from disk: what a read asks for at once, and for a program that reads on and on what is behind it, in the
// background, so that the disk, the checksums and the decryption work while the program takes what came before.

const (
	loadUnits = 8  // in the background, so many are read at once, aligned
	loadAhead = 64 // and all that begin no further than so many behind a read
	// loadSpans of these are read side by side for one reader, and the next one when one has come: what is asked of a disk all at
	// once may come all at once, and then disk and program wait for each other in turns.
	loadSpans = 3
)

// loadLocked fills a new unit, pinned by the caller, from disk, and along with it those that follow before end, as
// far as they are there and memory is to spare. It tells whether that worked for the first. c.mu is free meanwhile.
func (c *Cache) loadLocked(u *unit, end int64) bool {
	units := c.onDiskLocked(u, end)
	c.fillLocked(units)
	c.settleLocked(units[1:])
	return u.ready
}

// loadAheadLocked begins to read what is on disk behind a read that ends at demand, if a program reads on there. It costs
// no bytes of the network, so what comes and isn't read is no waste.
func (r *Reader) loadAheadLocked(demand int64) {
	r.demand = demand
	r.loadOnLocked(unitEnd(demand))
}

// loadOnLocked is loadAheadLocked from a unit on, as far as it is ahead of the last read.
func (r *Reader) loadOnLocked(from int64) {
	c, co := r.c, r.co
	if r.still || co.entry == nil || r.readableLocked() != nil || !r.streams.running() {
		return
	}
	first, end := unitEnd(r.demand), unitEnd(co.size)
	last := min(first+min(loadAhead, int64(c.mem.limit/4/max(1, c.streaming))), end)
	for u := max(first, from); u < last && r.loading < loadSpans; u = (u/loadUnits + 1) * loadUnits {
		r.loadSoonLocked(u, min((u/loadUnits+1)*loadUnits, end))
	}
}

// loadSoonLocked begins to read the first units of [u, end) that are on disk and not in memory, if memory is to spare.
func (r *Reader) loadSoonLocked(u, end int64) {
	c, co := r.c, r.co
	for u < end && (co.units[u] != nil || !co.entry.has(u)) {
		u++
	}
	if u == end || !c.spareLocked(1) || !c.mem.reserve(1) {
		return
	}
	units := c.onDiskLocked(c.newUnitLocked(co, u), end)
	co.refs++
	r.loading++
	c.wg.Go(func() {
		c.mu.Lock()
		c.fillLocked(units)
		c.settleLocked(units)
		r.loading--
		r.loadOnLocked(end) // never back, or what doesn't come, or doesn't stay, would be read again and again
		retired := c.releaseLocked(co)
		c.mu.Unlock()
		retired.retire()
	})
}

// onDiskLocked gives a new unit and new ones for those that follow it on disk before end, as far as memory is to spare.
func (c *Cache) onDiskLocked(u *unit, end int64) []*unit {
	co, units := u.co, append(make([]*unit, 0, loadUnits), u)
	for i := u.index + 1; i < end && co.units[i] == nil && co.entry.has(i) && c.spareLocked(len(units)) && c.mem.reserve(1); i++ {
		units = append(units, c.newUnitLocked(co, i))
	}
	return units
}

// fillLocked reads units that follow each other from disk, as far as they come, and makes them usable. c.mu is free while it reads.
func (c *Cache) fillLocked(units []*unit) {
	var sums [stretchMost][sumSize]byte
	co := units[0].co
	c.mu.Unlock()
	good, err := co.readUnits(units, sums[:len(units)])
	c.mu.Lock()
	if errors.Is(err, errCorrupt) {
		c.stats.Corrupt++
	}
	for i, u := range units[:good] {
		if !u.gone {
			co.seen.take(u.index, unitEnd(co.size), markOf(sums[i]))
			c.loadedLocked(u)
		}
	}
}

// settleLocked lets go of units that were read from disk. Who waits for one that didn't come looks for it elsewhere.
func (c *Cache) settleLocked(units []*unit) {
	for _, u := range units {
		if !u.ready {
			c.failLocked(u, errAbandoned)
		}
		c.mem.unpin(u)
	}
}

// readUnits reads and decrypts units that follow each other, and tells how many of them came and their checksums.
func (co *content) readUnits(units []*unit, sums [][sumSize]byte) (int, error) {
	r := stretch{first: units[0].index, bufs: make([][]byte, len(units)), sums: sums}
	for i, u := range units {
		r.bufs[i] = u.buf[:UnitSize]
	}
	good, err := co.entry.read(r)
	for _, u := range units[:good] {
		co.cipher.XORKeyStreamAt(u.buf, u.buf, u.index*UnitSize)
	}
	return good, err
}

// loadedLocked makes a unit usable that has come from disk.
func (c *Cache) loadedLocked(u *unit) {
	c.stats.DiskHits++
	u.got = len(u.buf)
	c.advanceLocked(u)
	c.readyLocked(u)
	c.arrivedLocked(u.co, u.index, false)
}
