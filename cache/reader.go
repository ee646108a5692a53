package cache

import (
	"context"
	"errors"
	"io"
	"slices"
)

// Reader reads one file through the cache and carries its read-ahead: one for each open handle. It is
// safe for concurrent use, as the kernel needs it.
type Reader struct {
	// Constant data.
	c    *Cache
	co   *content
	file File

	// GUARDED_BY(Cache.mu).
	closed  bool
	streams streams
	active  bool      // counted in Cache.streaming
	owned   []*flight // fetches that this reader keeps going
}

// NewReader opens a file. Nothing is fetched before the first read.
func (c *Cache) NewReader(f File) *Reader {
	return &Reader{c: c, co: c.hold(f), file: f}
}

// Close cancels what was being fetched for this reader alone. Reads under way end as they would have
// otherwise, or with ErrClosed.
func (r *Reader) Close() {
	c := r.c
	c.mu.Lock()
	if r.closed {
		c.mu.Unlock()
		return
	}
	r.closed = true
	for _, fl := range r.owned {
		c.unwantLocked(fl)
	}
	r.owned = nil
	if r.active {
		c.streaming--
	}
	c.cancelSmallLocked(r.co)
	retired := c.releaseLocked(r.co)
	c.mu.Unlock()
	retired.retire()
}

// ReadAt reads len(p) bytes at off, as io.ReaderAt does: fewer only together with an error, which is
// io.EOF only at the file's end. It waits for these bytes alone. When ctx ends it returns ctx.Err(),
// and a fetch already under way goes on for as long as the reader is open.
func (r *Reader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, ErrOffset
	}
	size := r.co.size
	if len(p) == 0 {
		return 0, nil
	}
	if off >= size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), size-off)]
	var n int
	var err error
	if size <= smallSize {
		n, err = r.readSmall(ctx, want, off)
	} else {
		n, err = r.read(ctx, want, off)
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// read is ReadAt in a file that is served while it arrives.
func (r *Reader) read(ctx context.Context, p []byte, off int64) (n int, err error) {
	c, end := r.c, off+int64(len(p))
	c.mu.Lock()
	defer c.mu.Unlock()
	a := r.adviseLocked(off, end)
	for settled := false; n < len(p); {
		at := off + int64(n)
		u, err := r.obtainLocked(ctx, unitOf(at), end, a)
		if err != nil {
			return n, err
		}
		if !settled {
			r.streams.settle(a, r.aheadLocked(u.index+1, end, a))
			settled = true
		}
		skip := int(at - u.index*UnitSize)
		need := min(len(u.buf), skip+len(p)-n)
		if err = c.awaitLocked(ctx, u, need); err == nil {
			n += c.copyLocked(p[n:], u, skip, need)
		}
		c.mem.unpin(u)
		if err != nil && !errors.Is(err, errAbandoned) {
			return n, err
		}
	}
	return n, nil
}

// copyLocked copies out of a pinned unit, with c.mu free meanwhile.
func (c *Cache) copyLocked(p []byte, u *unit, from, to int) int {
	u.markReadLocked()
	c.mu.Unlock()
	n := copy(p, u.buf[from:to])
	c.mu.Lock()
	return n
}

// adviseLocked takes a read into the read-ahead and cancels what a jump made useless.
func (r *Reader) adviseLocked(off, end int64) advice {
	a := r.streams.next(off, end, r.co.size, r.c.windowLocked())
	if a.Jumped {
		r.disownLocked()
	}
	if active := r.streams.active(); active != r.active && !r.closed {
		r.active = active
		if active {
			r.c.streaming++
		} else {
			r.c.streaming--
		}
	}
	return a
}

// windowLocked is how wide a reader's window may be: half of the memory, shared.
func (c *Cache) windowLocked() int64 {
	return int64(c.mem.limit) * UnitSize / 2 / int64(max(1, c.streaming))
}

// disownLocked gives up what was fetched ahead for streams that have ended.
func (r *Reader) disownLocked() {
	kept := r.owned[:0]
	for _, fl := range r.owned {
		from, n := fl.bounds()
		switch {
		case fl.over:
		case fl.dueLocked() || r.streams.wants(from, from+n):
			kept = append(kept, fl)
		default:
			r.c.unwantLocked(fl)
		}
	}
	clear(r.owned[len(kept):])
	r.owned = kept
}

// ownLocked keeps a fetch going until the reader closes or turns elsewhere. A fetch that was launched
// for this reader already counts it.
func (r *Reader) ownLocked(fl *flight, counted bool) {
	r.sweepLocked()
	switch {
	case slices.Contains(r.owned, fl):
	case r.closed:
		if counted {
			r.c.unwantLocked(fl)
		}
	default:
		if !counted {
			fl.wanted++
		}
		r.owned = append(r.owned, fl)
	}
}

// sweepLocked forgets fetches that are over.
func (r *Reader) sweepLocked() {
	r.owned = slices.DeleteFunc(r.owned, func(fl *flight) bool { return fl.over })
}

// obtainLocked gives unit index, pinned: from memory, from disk, or under way. A fetch that it must start
// takes in what is missing behind the unit, up to the end of demand and of the advice. c.mu is free
// while it waits for memory or reads the disk.
func (r *Reader) obtainLocked(ctx context.Context, index, demand int64, a advice) (*unit, error) {
	c, co := r.c, r.co
	cost := c.cost(co, 1)
	for {
		if err := r.readableLocked(); err != nil {
			return nil, err
		}
		if u := co.units[index]; u != nil {
			r.hitLocked(u)
			return u, nil
		}
		if !c.mem.reserve(cost) {
			if err := c.reserveLocked(ctx, cost); err != nil {
				return nil, err
			}
			if co.units[index] != nil || r.readableLocked() != nil {
				c.mem.give(cost)
				continue
			}
		}
		u := c.newUnitLocked(co, index)
		if co.entry.has(index) && c.loadLocked(u) {
			c.mem.give(cost - 1)
			return u, nil
		}
		if u.gone { // dropped while the disk was read
			c.mem.unpin(u)
			c.mem.give(cost - 1)
			continue
		}
		c.stats.Misses++
		u.pins++ // one for the fetch, one for the caller
		units := r.extendLocked([]*unit{u}, unitEnd(max(demand, a.To)), a.partUnits())
		r.ownLocked(c.launchLocked(co, r.file, units, unitEnd(demand)), true)
		return u, nil
	}
}

func (r *Reader) readableLocked() error {
	if r.closed {
		return ErrClosed
	}
	return r.co.readableLocked()
}

// hitLocked pins a unit that is in memory or under way.
func (r *Reader) hitLocked(u *unit) {
	u.pins++
	if u.ready {
		r.c.stats.MemoryHits++
		r.c.mem.lru.Get(u)
		return
	}
	if u.flight != nil {
		r.c.demandLocked(u)
		r.ownLocked(u.flight, false)
	}
}

// extendLocked appends to the one unit the missing ones that follow it, before end and up to most in all,
// for as long as there is memory to spare.
func (r *Reader) extendLocked(units []*unit, end int64, most int) []*unit {
	c, co := r.c, r.co
	first := units[0].index
	if part := first + int64(most); part < end {
		end = cutAtChunk(first, part)
	}
	for u := first + 1; u < end; u++ {
		if co.units[u] != nil || co.entry.has(u) || !c.spareLocked(len(units)+1) || !c.mem.reserve(1) {
			break
		}
		units = append(units, c.newUnitLocked(co, u))
	}
	return units
}

// spareLocked tells whether n units more may be fetched without anybody waiting for them. A quarter of
// the memory is left to those who wait. What was fetched ahead and not read yet counts, or one stream
// would push out what another is about to read; so do MACs, or slow cores would be left behind.
func (c *Cache) spareLocked(n int) bool {
	return c.mem.flying+c.mem.unread+c.mem.hashing+n <= c.mem.limit*3/4
}

// aheadLocked starts fetches for what is missing of units [from, end of demand) and of the advice. It
// returns up to which byte all is here or under way.
func (r *Reader) aheadLocked(from, demand int64, a advice) int64 {
	c, co := r.c, r.co
	end := unitEnd(max(demand, a.To))
	for u := from; u < end; {
		if co.units[u] != nil || co.entry.has(u) {
			u++
			continue
		}
		ahead := u*UnitSize >= demand
		cost := c.cost(co, 1)
		if ahead && !r.mayLookAhead() || !c.spareLocked(1) || !c.mem.reserve(cost) {
			return u * UnitSize
		}
		units := r.extendLocked([]*unit{c.newUnitLocked(co, u)}, end, a.partUnits())
		r.ownLocked(c.launchLocked(co, r.file, units, unitEnd(demand)), true)
		u += int64(len(units))
	}
	return min(end*UnitSize, co.size)
}

// mayLookAhead limits the parallel parts ahead of one reader and of all.
func (r *Reader) mayLookAhead() bool {
	r.sweepLocked()
	return len(r.owned) < partsMax && r.c.ahead < aheadMax && !r.closed
}

// aheadMax is how many fetches ahead there may be at once, over all readers.
const aheadMax = 2 * partsMax

// loadLocked fills a new unit, pinned by the caller, from disk, and tells whether that worked. c.mu is
// free meanwhile.
func (c *Cache) loadLocked(u *unit) bool {
	co := u.co
	c.mu.Unlock()
	err := co.entry.read(u.index, u.buf)
	if err == nil {
		co.cipher.XORKeyStreamAt(u.buf, u.buf, u.index*UnitSize)
	}
	c.mu.Lock()
	if errors.Is(err, errCorrupt) {
		c.stats.Corrupt++
	}
	if err != nil || u.gone {
		return false
	}
	c.stats.DiskHits++
	c.advanceLocked(u, len(u.buf))
	c.readyLocked(u)
	c.arrivedLocked(co, u.index, false)
	return true
}
