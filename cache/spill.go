package cache

import "slices"

// spill is ciphertext of a flight on its way to disk: units that follow each other, which stay in memory until they are there. It is
// written by one goroutine of the cache's own, so that neither the network nor a reader waits for the disk. A flight
// that finds too much of it waiting writes what it has by itself, and so becomes as slow as the disk is.
type spill struct {
	co    *content
	gen   int64   // of the entry when the flight began
	data  stretch // each buffer under a permit of its own
	units []*unit
}

func (s *spill) write() {
	s.co.retract(s.data.first, s.data.first+int64(len(s.data.bufs)))
	s.co.entry.write(s.gen, s.data)
}

// retract takes back, on disk, what is known of the chunks of units [first, end) that came anew and were compared with
// nothing yet: the next process would take it for a verdict on them.
func (co *content) retract(first, end int64) {
	c := co.c
	c.mu.Lock()
	var doubtful []int
	for i := chunkOf(first); i <= chunkOf(end-1); i++ {
		if co.fresh.has(int64(i)) && co.known.has(int64(i)) {
			doubtful = append(doubtful, i)
		}
	}
	c.mu.Unlock()
	for _, i := range doubtful {
		co.entry.dropMAC(i)
	}
	co.save()
}

// spillsMost is how many units may wait for the disk: an eighth of the memory.
func (c *Cache) spillsMost() int { return c.mem.limit / 8 }

// spillLocked has a spill written soon, unless too much is waiting.
func (c *Cache) spillLocked(s *spill) bool {
	if c.mem.spilling+len(s.units) > c.spillsMost() {
		return false
	}
	if !c.spilling {
		if !c.goLocked(c.writeSpills) {
			return false
		}
		c.spilling = true
	}
	s.co.refs++
	s.co.spills++
	c.mem.spilling += len(s.units)
	c.spills = append(c.spills, s)
	return true
}

// writeSpills works until nothing is waiting. One goroutine does: several would wait for each other at the file's lock,
// which costs processor time and brings nothing.
func (c *Cache) writeSpills() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.spills) > 0 {
		s := c.takeSpillLocked()
		c.mu.Unlock()
		s.write()
		c.mu.Lock()
		c.mem.spilling -= len(s.units)
		s.co.spills--
		s.co.tellLocked()
		c.dropSpillLocked(s)
		if retired := c.releaseLocked(s.co); retired != nil {
			c.mu.Unlock()
			retired.retire()
			c.mu.Lock()
		}
	}
	c.spilling = false
}

// takeSpillLocked takes the first spill from the queue, with those that continue it: the parts of a stream come side by
// side, and few long writes cost far less than many short ones.
func (c *Cache) takeSpillLocked() *spill {
	s := c.spills[0]
	c.spills = slices.Delete(c.spills, 0, 1)
	for {
		i := slices.IndexFunc(c.spills, s.isContinuedBy)
		if i < 0 {
			return s
		}
		s.joinLocked(c.spills[i])
		c.spills = slices.Delete(c.spills, i, i+1)
	}
}

// isContinuedBy tells whether another spill can be written together with this one.
func (s *spill) isContinuedBy(next *spill) bool {
	return next.co == s.co && next.gen == s.gen && next.data.first == s.data.first+int64(len(s.units)) &&
		len(s.units)+len(next.units) <= stretchMost
}

// joinLocked takes in the one that continues it. One of them keeps the content.
func (s *spill) joinLocked(next *spill) {
	s.data.bufs = append(s.data.bufs, next.data.bufs...)
	s.data.sums = append(s.data.sums, next.data.sums...)
	s.units = append(s.units, next.units...)
	s.co.refs--
	s.co.spills--
}

// dropSpillLocked gives back what a spill holds.
func (c *Cache) dropSpillLocked(s *spill) {
	for _, u := range s.units {
		c.mem.unpin(u)
	}
	for _, b := range s.data.bufs {
		c.mem.recycle(b)
		c.mem.give(1)
	}
}
