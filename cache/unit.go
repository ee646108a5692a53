package cache

import (
	"context"
	"time"
)

// unit is one piece of a content in memory, whole or still arriving. All but the bytes of buf is
// GUARDED_BY(Cache.mu); buf[:filled] never changes, and what is behind it belongs to whoever fills it.
//
// INVARIANT: co.units[index] == u exactly while !gone
// INVARIANT: ready means from == 0, filled == got == len(buf) and, unless gone, being in the LRU
type unit struct {
	co    *content
	index int64

	buf    []byte  // plaintext
	from   int     // where the bytes begin that have come: 0, unless its front comes by itself and isn't whole (front.go)
	front  int     // bytes that have come of what is before from
	filled int     // up to here bytes have come and may be seen
	got    int     // up to here they have come
	shown  int     // up to here somebody was given them
	again  bool    // it must be compared before anybody sees it: seen.go
	ready  bool    // all have
	gone   bool    // not its content's any more: the last pin frees the buffer
	err    error   // no more will come
	pins   int     // readers, fetches and MAC jobs that use buf
	flight *flight // what fills it; nil when that is the disk, or over
	unread bool    // fetched ahead, and nobody has read it yet
	spent  bool    // a program that reads on and on has had all of it: the kernel keeps it, we need not
	wasted bool    // the same, and nobody is expected to: counted as waste

	wake chan struct{} // closed when need bytes have come, or none will; nil: nobody waits
	need int
}

// newUnitLocked makes unit u of co, pinned once, under a permit that the caller holds.
func (c *Cache) newUnitLocked(co *content, index int64) *unit {
	u := &unit{co: co, index: index, pins: 1}
	u.buf = c.mem.buffer()[:unitLen(index, co.size)]
	co.units[index] = u
	return u
}

// comeLocked takes in n bytes more of a unit from the network; m is its mark when it is whole with them. What is not as it
// was before goes: one of the two is wrong, and nobody knows which.
func (c *Cache) comeLocked(u *unit, n int, m mark) {
	u.got += n
	if u.again && !u.gone && !c.fitsLocked(u, m) {
		c.failLocked(u, errAbandoned)
		c.refuteLocked(u.co, [8]byte{})
	}
	if !u.again {
		c.advanceLocked(u)
	}
}

// advanceLocked tells those who wait that more has come.
func (c *Cache) advanceLocked(u *unit) {
	u.filled = u.got
	if u.wake != nil && u.filled >= u.need {
		u.wakeAll()
	}
}

// has tells whether bytes [from, to) have come and may be seen.
func (u *unit) has(from, to int) bool { return u.from <= from && u.filled >= to }

// readyLocked makes a whole unit one that is kept.
func (c *Cache) readyLocked(u *unit) {
	u.ready, u.flight = true, nil
	if u.unread {
		c.mem.unread++
	}
	if u.index == 0 {
		c.beginnings.Remove(u.co.id) // it is the unit that is read from now on
	}
	if !u.gone {
		c.mem.lru.Add(u, struct{}{})
	}
}

// failLocked takes a unit away from those who wait for it.
func (c *Cache) failLocked(u *unit, err error) {
	if u.err == nil {
		u.err = err
		c.beheadLocked(u)
	}
	c.mem.discard(u)
	u.wakeAll()
}

func (u *unit) wakeAll() {
	if u.wake != nil {
		close(u.wake)
		u.wake = nil
	}
}

// awaitLocked waits until bytes [from, need) of a pinned unit have come. c.mu is free while it waits.
func (c *Cache) awaitLocked(ctx context.Context, u *unit, from, need int) error {
	for !u.has(from, need) && u.err == nil {
		if u.wake == nil {
			u.wake, u.need = make(chan struct{}), need
		}
		u.need = min(u.need, need)
		wake, fl, before := u.wake, u.flight, u.got+u.front
		if fl != nil {
			fl.wanted++
		}
		c.mu.Unlock()
		err := c.awaitWake(ctx, wake)
		c.mu.Lock()
		if err == ErrTimeout && u.got+u.front-before >= c.leastProgress() {
			err = nil
		}
		if fl != nil {
			c.unwantLocked(fl)
		}
		if err != nil {
			return err
		}
	}
	if u.has(from, need) {
		return nil
	}
	return u.err
}

// awaitWake waits for a channel to be closed, for ctx to end, or for the time without progress to be over.
func (c *Cache) awaitWake(ctx context.Context, wake <-chan struct{}) error {
	var over <-chan time.Time
	if c.timeout > 0 {
		t := time.NewTimer(c.timeout)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-over:
		return ErrTimeout
	}
}

// leastProgress is how much must come in the time of Options.Timeout to count: a kilobyte a second.
func (c *Cache) leastProgress() int { return int(c.timeout.Seconds() * 1024) }
