package cache

import (
	"context"
	"slices"
)

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
	r.writeOffLocked()
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

// obtainLocked gives the unit that has the byte at `at`, pinned: from memory, from disk, or under way. A fetch that it
// must start takes in what is missing behind the unit, up to the end of demand and of the advice, or begins
// at the byte and is of the unit alone. c.mu is free while it waits for memory or reads the disk.
func (r *Reader) obtainLocked(ctx context.Context, at, demand int64, a advice) (*unit, error) {
	c, co := r.c, r.co
	index, cost := unitOf(at), c.cost(co, 1)
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
		if co.entry.has(index) && c.loadLocked(u, min(unitEnd(demand), index+stretchMost)) {
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
		units, front := []*unit{u}, r.frontLocked(u, at)
		if front == 0 {
			units = r.extendLocked(units, unitEnd(max(demand, a.To)), a.partUnits())
		}
		r.ownLocked(c.launchLocked(co, r.file, units, unitEnd(demand), front), true)
		return u, nil
	}
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
// would push out what another is about to read; so do MACs and what waits for the disk, or slow cores and disks
// would be left behind.
func (c *Cache) spareLocked(n int) bool {
	return c.mem.flying+c.mem.unread+c.mem.hashing+c.mem.spilling+n <= c.mem.limit*3/4
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
		r.ownLocked(c.launchLocked(co, r.file, units, unitEnd(demand), 0), true)
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
