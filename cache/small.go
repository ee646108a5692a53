package cache

import (
	"context"
	"errors"
	"sync/atomic"
)

// Files up to smallSize are fetched and verified whole before anybody sees a byte. One smallFetch does
// so for all who read the file meanwhile.

// smallFetch brings in all units of a small file. Its units are no part of the content before they
// have been verified.
type smallFetch struct {
	// Constant data.
	co     *content
	file   File
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when units or err are there
	got    atomic.Int64  // bytes that have come

	// GUARDED_BY(Cache.mu).
	waiting int     // readers; each has every unit pinned once done
	ahead   bool    // nobody has asked for it yet
	need    need    // the same, for FetchFunc
	units   []*unit // all of the file's
	err     error
}

// readSmall is ReadAt in a small file.
func (r *Reader) readSmall(ctx context.Context, p []byte, off int64) (int, error) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := r.readableLocked(); err != nil {
			return 0, err
		}
		if n, ok := r.copySmallLocked(p, off); ok {
			return n, nil
		}
		s := c.smallLocked(r.co, r.file, need{})
		s.waiting++
		s.ahead = false
		s.need.now()
		c.mu.Unlock()
		err := c.awaitSmall(ctx, s)
		c.mu.Lock()
		n, over, err := r.takeSmallLocked(s, p, off, err)
		if over {
			return n, err
		}
	}
}

// awaitSmall waits for a fetch as long as something comes.
func (c *Cache) awaitSmall(ctx context.Context, s *smallFetch) error {
	for {
		before := s.got.Load()
		err := c.awaitWake(ctx, s.done)
		if err != ErrTimeout || s.got.Load()-before < int64(c.leastProgress()) {
			return err
		}
	}
}

// takeSmallLocked ends the wait for s: it copies, or says why not, or that all must begin anew.
func (r *Reader) takeSmallLocked(s *smallFetch, p []byte, off int64, err error) (n int, over bool, _ error) {
	select {
	case <-s.done:
	default: // ctx ended first
		s.waiting--
		return 0, true, err
	}
	if s.err != nil {
		s.waiting--
		if errors.Is(s.err, errAbandoned) {
			return 0, false, nil
		}
		return 0, true, s.err
	}
	for n < len(p) {
		u := s.units[unitOf(off+int64(n))]
		skip := int(off + int64(n) - u.index*UnitSize)
		n += r.c.copyLocked(p[n:], u, skip, len(u.buf))
	}
	s.waiting--
	for _, u := range s.units {
		r.c.mem.unpin(u)
	}
	return n, true, nil
}

// copySmallLocked copies from memory, if all is there.
func (r *Reader) copySmallLocked(p []byte, off int64) (int, bool) {
	var pinned [smallUnits]*unit
	first, end := unitOf(off), unitEnd(off+int64(len(p)))
	for i := first; i < end; i++ {
		u := r.co.units[i]
		if u == nil || !u.ready {
			for _, u := range pinned[:i-first] {
				r.c.mem.unpin(u)
			}
			return 0, false
		}
		r.hitLocked(u)
		pinned[i-first] = u
	}
	n := 0
	for _, u := range pinned[:end-first] {
		skip := int(off + int64(n) - u.index*UnitSize)
		n += r.c.copyLocked(p[n:], u, skip, len(u.buf))
		r.c.mem.unpin(u)
	}
	return n, true
}

// smallLocked gives the fetch of a small file that is under way, or starts it with a need.
func (c *Cache) smallLocked(co *content, f File, n need) *smallFetch {
	if co.small != nil {
		return co.small
	}
	s := &smallFetch{co: co, file: f, need: n, done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(n.in(c.ctx))
	co.small = s
	co.refs++
	if !c.goLocked(s.run) {
		s.endLocked(nil, ErrClosed)
	}
	return s
}

// cancelSmallLocked ends the fetch of a small file when its last reader closes.
func (c *Cache) cancelSmallLocked(co *content) {
	if s := co.small; s != nil && s.waiting == 0 && !s.ahead && co.refs <= 2 { // the closing reader and s
		co.small = nil
		s.cancel()
	}
}

func (s *smallFetch) run() {
	c, co := s.co.c, s.co
	n := int(unitEnd(co.size))
	c.mu.Lock()
	cost := c.cost(co, n)
	if err := c.reserveLocked(s.ctx, cost); err != nil {
		retired := s.endLocked(nil, err)
		c.mu.Unlock()
		retired.retire()
		return
	}
	b := &smallBuffers{s: s, units: make([]*unit, n)}
	for i := range b.units {
		u := &unit{co: co, index: int64(i), gone: true, pins: 1} // nobody's yet
		u.buf = c.mem.buffer()[:unitLen(u.index, co.size)]
		b.units[i] = u
	}
	if cost > n {
		b.scratch = c.mem.buffer()
	}
	c.mu.Unlock()
	err := b.fill()
	c.mu.Lock()
	if b.scratch != nil {
		c.mem.recycle(b.scratch)
		c.mem.give(1)
	}
	retired := s.endLocked(b.units, err)
	c.mu.Unlock()
	retired.retire()
}

// endLocked hands the units to the content and to those who wait, or fails.
func (s *smallFetch) endLocked(units []*unit, err error) *content {
	c, co := s.co.c, s.co
	if err == nil && co.small != s {
		err = errAbandoned // the content was dropped, or is wanted by nobody
	}
	switch {
	case err == nil:
	case c.closed:
		err = ErrClosed
	case s.ctx.Err() != nil:
		err = errAbandoned
	}
	if co.small == s {
		co.small = nil
	}
	s.cancel()
	s.err, s.units = err, units
	for _, u := range units {
		if err == nil {
			c.publishLocked(u, s.waiting, s.ahead)
		}
		c.mem.unpin(u)
	}
	close(s.done)
	return c.releaseLocked(co)
}

// publishLocked makes a verified unit its content's, pinned for each who waits; unread if nobody has asked.
func (c *Cache) publishLocked(u *unit, waiting int, unread bool) {
	u.filled, u.got, u.ready = len(u.buf), len(u.buf), true
	u.pins += waiting
	if u.co.units[u.index] == nil {
		u.gone = false
		if u.unread = unread; unread {
			c.mem.unread++
		}
		u.co.units[u.index] = u
		c.mem.lru.Add(u, struct{}{})
	}
}
