package cache

import (
	"fmt"
	"slices"
)

// Store takes in ciphertext that we have because we are uploading it, so that what was just written is
// never downloaded. off and length are as they come; units that are never filled from their beginning
// on are not kept. f.Key.MAC may be zero, until [Cache.Complete]. It neither keeps ciphertext nor fails
// for lack of room.
func (c *Cache) Store(f File, off int64, ciphertext []byte) error {
	if off < 0 || off+int64(len(ciphertext)) > f.Size {
		return fmt.Errorf("storing %d bytes at %d of %d: %w", len(ciphertext), off, f.Size, ErrOffset)
	}
	co := c.hold(f)
	defer c.release(co)
	for len(ciphertext) > 0 {
		u := unitOf(off)
		skip := int(off - u*UnitSize)
		whole := unitLen(u, f.Size)
		n := min(len(ciphertext), whole-skip)
		if n == whole {
			co.seed(u, ciphertext[:n])
		} else {
			co.seedPart(u, skip, ciphertext[:n])
		}
		ciphertext, off = ciphertext[n:], off+int64(n)
	}
	return nil
}

// Complete tells that all of a file was stored, and its MAC, which f carries, is the one that its
// uploader computed from these bytes. If all of it is still here, it is verified.
func (c *Cache) Complete(f File) {
	co := c.hold(f)
	defer c.release(co)
	c.mu.Lock()
	co.dropPartsLocked()
	if co.mac == ([8]byte{}) || co.quarantined {
		c.mu.Unlock()
		return
	}
	for u := range unitEnd(co.size) {
		if !co.haveLocked(u) {
			c.mu.Unlock()
			return
		}
	}
	co.verified, co.suspect = true, false
	c.mu.Unlock()
	co.save()
}

// Drop forgets everything about a file: its bytes, and a verdict that quarantined it. Of one that was found right and is being
// read, what its chunks must be stays known: or else the next byte would wait until all of it had come again.
func (c *Cache) Drop(f File) error {
	co := c.hold(f)
	c.mu.Lock()
	if co.readers > 0 && co.verified && !co.fresh.any() {
		c.forgetBytesLocked(co)
	} else {
		c.forgetLocked(co)
	}
	co.suspect, co.quarantined, co.accepted = false, false, false
	c.mu.Unlock()
	co.save()
	c.mu.Lock()
	retired := c.releaseLocked(co)
	if co.refs == 0 && c.contents[co.id] == co {
		c.idle.Remove(co.id)
		delete(c.contents, co.id)
		defer co.retire()
	}
	c.mu.Unlock()
	retired.retire()
	return nil
}

// FreeDisk gives back n bytes of disk, if the cache has as many, to somebody who needs them more. It
// returns how many it gave.
func (c *Cache) FreeDisk(n int64) int64 {
	if c.store == nil {
		return 0
	}
	return c.store.freeBytes(n)
}

// part is the beginning of a unit that is being stored in pieces.
type part struct {
	co     *content
	unit   int64
	buf    []byte
	filled int
}

// partsLocked is how many parts there may be, over all contents. They are only dropped for others, since
// nobody says when an upload was given up.
func (c *Cache) partsLocked() int { return c.mem.limit / 8 }

// seed stores a whole unit.
func (co *content) seed(u int64, ciphertext []byte) {
	c := co.c
	c.mu.Lock()
	busy := co.quarantined || c.closed || co.haveLocked(u)
	gen := co.entry.generation()
	c.mu.Unlock()
	if busy {
		return
	}
	co.entry.write(gen, stretchOf(u, ciphertext))
	if !co.entry.has(u) {
		co.seedMemory(u, ciphertext)
	}
}

// seedMemory keeps a unit in memory that couldn't go to disk, if there is any to spare.
func (co *content) seedMemory(u int64, ciphertext []byte) {
	c := co.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if co.units[u] != nil || c.closed || !c.mem.reserve(1) {
		return
	}
	m := c.newUnitLocked(co, u)
	co.cipher.XORKeyStreamAt(m.buf, ciphertext, u*UnitSize)
	m.filled, m.got = len(m.buf), len(m.buf)
	co.seen.take(u, unitEnd(co.size), 0)
	c.readyLocked(m)
	c.mem.unpin(m)
}

// seedPart collects a unit whose bytes come in several pieces, in order.
func (co *content) seedPart(u int64, skip int, ciphertext []byte) {
	c := co.c
	c.mu.Lock()
	p := co.partLocked(u, skip)
	if p == nil {
		c.mu.Unlock()
		return
	}
	p.filled += copy(p.buf[skip:], ciphertext)
	whole := p.filled == unitLen(u, co.size)
	if whole {
		c.takePartLocked(p)
	}
	c.mu.Unlock()
	if !whole {
		return
	}
	co.seed(u, p.buf[:p.filled])
	c.mu.Lock()
	c.freePartLocked(p)
	c.mu.Unlock()
}

// partLocked gives the part that a piece continues, or begins.
func (co *content) partLocked(u int64, skip int) *part {
	c := co.c
	for _, p := range c.parts {
		if p.co == co && p.unit == u {
			if p.filled == skip {
				return p
			}
			return nil
		}
	}
	if skip > 0 || co.quarantined || c.closed {
		return nil
	}
	for len(c.parts) >= c.partsLocked() {
		oldest := c.parts[0]
		c.takePartLocked(oldest)
		c.freePartLocked(oldest)
	}
	if !c.mem.reserve(1) {
		return nil
	}
	p := &part{co: co, unit: u, buf: c.mem.buffer()}
	c.parts = append(c.parts, p)
	return p
}

// takePartLocked takes a part out of the list; its buffer is the caller's.
func (c *Cache) takePartLocked(p *part) {
	c.parts = slices.DeleteFunc(c.parts, func(o *part) bool { return o == p })
}

func (c *Cache) freePartLocked(p *part) {
	c.mem.recycle(p.buf)
	c.mem.give(1)
}

// dropPartsLocked gives up what was stored in pieces and never became whole.
func (co *content) dropPartsLocked() {
	for _, p := range slices.Clone(co.c.parts) {
		if p.co == co {
			co.c.takePartLocked(p)
			co.c.freePartLocked(p)
		}
	}
}
