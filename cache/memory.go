package cache

import (
	"context"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// memory owns every buffer of the cache: the units that are kept, those in flight, and the scratch
// space of fetches. Each is one permit of a fixed number, so that memory is bounded whatever the
// readers do. Permits are always taken all at once, before anything is started with them: whoever
// waits for one holds none, hence no deadlock.
//
// Everything here is GUARDED_BY(Cache.mu).
type memory struct {
	limit int // permits there are
	used  int // permits out
	// Of them: what can't be dropped, or should not be.
	flying  int // units whose bytes are still to come from a fetch
	unread  int // units that were fetched ahead and are still to be read
	hashing int // units that a MAC is being computed of
	// spilling is units whose ciphertext, in a buffer of its own, waits for the disk.
	spilling int

	lru   *simplelru.LRU[*unit, struct{}] // whole units, which may be dropped when nobody has them pinned
	free  [][]byte                        // buffers to use again
	fresh buffers                         // those never used
	queue []*claim                        // who waits for permits, in order
}

// claim is somebody waiting for n permits.
type claim struct {
	n       int
	granted chan struct{} // closed when they are given
}

func newMemory(limit int) *memory {
	lru, err := simplelru.NewLRU[*unit, struct{}](limit+1, nil) // never evicts by itself
	if err != nil {
		panic(err) // only for a size below one
	}
	return &memory{limit: limit, lru: lru}
}

// reserve takes n permits if that needs no waiting.
func (m *memory) reserve(n int) bool { return len(m.queue) == 0 && m.take(n) }

func (m *memory) take(n int) bool {
	for m.used+n > m.limit {
		if !m.evict() {
			return false
		}
	}
	m.used += n
	return true
}

// evict drops the unit that was not used for the longest time. Pinned ones are passed over.
func (m *memory) evict() bool {
	for range m.lru.Len() {
		u, _, _ := m.lru.RemoveOldest()
		if u.pins == 0 {
			m.discard(u)
			return true
		}
		m.lru.Add(u, struct{}{})
	}
	return false
}

// give returns n permits.
func (m *memory) give(n int) {
	m.used -= n
	m.grant()
}

// grant serves those who wait, in order. It must be called whenever a permit comes back or a unit
// becomes one that can be dropped.
func (m *memory) grant() {
	for len(m.queue) > 0 && m.take(m.queue[0].n) {
		close(m.queue[0].granted)
		m.queue[0] = nil
		m.queue = m.queue[1:]
	}
}

// buffer lends memory under a permit that the caller holds.
func (m *memory) buffer() []byte {
	if n := len(m.free); n > 0 {
		b := m.free[n-1]
		m.free = m.free[:n-1]
		return b
	}
	return m.fresh.take(m.limit)
}

// recycle takes a buffer back; its permit is given separately.
func (m *memory) recycle(b []byte) { m.free = append(m.free, b[:UnitSize]) }

// discard takes a unit out of its content and, as soon as nobody holds it, its buffer back.
func (m *memory) discard(u *unit) {
	if u.gone {
		return
	}
	u.gone = true
	delete(u.co.units, u.index)
	m.lru.Remove(u)
	u.co.c.wasteLocked(u)
	if u.pins == 0 {
		m.release(u)
	}
}

// unpin gives back a pin.
func (m *memory) unpin(u *unit) {
	u.pins--
	switch {
	case u.pins > 0:
	case u.gone:
		m.release(u)
	case u.spent && u.co.entry.has(u.index):
		m.discard(u) // its memory is still in the processor's cache, and so of more use to the next one
	case u.ready:
		m.grant()
	}
}

func (m *memory) release(u *unit) {
	m.recycle(u.buf)
	u.buf = nil
	m.give(1)
}

// forgetClaim takes a claim back that its owner doesn't wait for any more.
func (m *memory) forgetClaim(w *claim) {
	for i := range m.queue {
		if m.queue[i] == w {
			m.queue = append(m.queue[:i], m.queue[i+1:]...)
			m.grant()
			return
		}
	}
	m.give(w.n) // granted in the meantime
}

// reserveLocked takes n permits and waits for them if it must; c.mu is free while it does.
func (c *Cache) reserveLocked(ctx context.Context, n int) error {
	if c.mem.reserve(n) {
		return nil
	}
	w := &claim{n: n, granted: make(chan struct{})}
	c.mem.queue = append(c.mem.queue, w)
	c.mem.grant()
	c.mu.Unlock()
	var err error
	select {
	case <-w.granted:
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.ctx.Done():
		err = ErrClosed
	}
	c.mu.Lock()
	if err != nil {
		c.mem.forgetClaim(w)
	}
	return err
}
