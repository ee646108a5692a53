package cache

import (
	"context"
	"errors"

	"megadisk/megaclient/megacrypto"
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

	// GUARDED_BY(Cache.mu).
	waiting int     // readers; each has every unit pinned once done
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
		s := c.smallLocked(r.co, r.file)
		s.waiting++
		c.mu.Unlock()
		var err error
		select {
		case <-s.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
		c.mu.Lock()
		n, over, err := r.takeSmallLocked(s, p, off, err)
		if over {
			return n, err
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

// smallLocked gives the fetch of a small file that is under way, or starts it.
func (c *Cache) smallLocked(co *content, f File) *smallFetch {
	if co.small != nil {
		return co.small
	}
	s := &smallFetch{co: co, file: f, done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(c.ctx)
	co.small = s
	co.refs++
	if !c.goLocked(s.run) {
		s.endLocked(nil, ErrClosed)
	}
	return s
}

// cancelSmallLocked ends the fetch of a small file when its last reader closes.
func (c *Cache) cancelSmallLocked(co *content) {
	if s := co.small; s != nil && s.waiting == 0 && co.refs <= 2 { // the closing reader and s
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
			c.publishLocked(u, s.waiting)
		}
		c.mem.unpin(u)
	}
	close(s.done)
	return c.releaseLocked(co)
}

// publishLocked makes a verified unit its content's, pinned for each who waits.
func (c *Cache) publishLocked(u *unit, waiting int) {
	u.filled, u.ready = len(u.buf), true
	u.pins += waiting
	if u.co.units[u.index] == nil {
		u.gone = false
		u.co.units[u.index] = u
		c.mem.lru.Add(u, struct{}{})
	}
}

// smallBuffers is what a smallFetch works on, all its own until it ends.
type smallBuffers struct {
	s       *smallFetch
	units   []*unit
	scratch []byte // one unit's ciphertext; nil without disk level
	macs    []megacrypto.ChunkMAC
	flags   uint32
	tag     [16]byte
	got     bitmap // units that have come
	stored  bitmap // of them, those that came from disk
}

// fill brings in everything and verifies it, at the second attempt from the network alone.
func (b *smallBuffers) fill() error {
	c, co := b.s.co.c, b.s.co
	for {
		b.got, b.stored = newBitmap(smallUnits), newBitmap(smallUnits)
		b.load()
		trusted, mac, suspect := co.trust()
		if int(b.got.count()) < len(b.units) || !trusted {
			if err := b.fetchMissing(suspect); err != nil {
				return err
			}
			ok, err := b.verify(mac)
			if err != nil {
				return err
			}
			if !ok {
				if c.mismatch(co) {
					return ErrQuarantined
				}
				continue // everything once more
			}
			b.store()
		}
		return nil
	}
}

// trust tells whether bytes from disk were verified when they came, the MAC to verify against, and
// whether an earlier fetch failed.
func (co *content) trust() (verified bool, mac [8]byte, suspect bool) {
	co.c.mu.Lock()
	defer co.c.mu.Unlock()
	return co.verified, co.mac, co.suspect
}

// load takes in what the disk has.
func (b *smallBuffers) load() {
	c, co := b.s.co.c, b.s.co
	corrupt := int64(0)
	for i, u := range b.units {
		if !co.entry.has(int64(i)) {
			continue
		}
		err := co.entry.read(u.index, u.buf)
		if errors.Is(err, errCorrupt) {
			corrupt++
		}
		if err != nil {
			continue
		}
		co.cipher.XORKeyStreamAt(u.buf, u.buf, u.index*UnitSize)
		b.got.set(int64(i))
		b.stored.set(int64(i))
	}
	c.mu.Lock()
	c.stats.Corrupt += corrupt
	c.stats.DiskHits += b.stored.count()
	c.mu.Unlock()
}

// fetchMissing brings in the rest from the network, one fetch a gap.
func (b *smallBuffers) fetchMissing(suspect bool) error {
	ctx := b.s.ctx
	if suspect {
		ctx = context.WithValue(ctx, freshURL{}, true)
	}
	for i := 0; i < len(b.units); i++ {
		if b.got.has(int64(i)) {
			continue
		}
		end := i + 1
		for end < len(b.units) && !b.got.has(int64(end)) {
			end++
		}
		if err := b.fetch(ctx, i, end); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// fetch brings in units [first, end).
func (b *smallBuffers) fetch(ctx context.Context, first, end int) error {
	c, co := b.s.co.c, b.s.co
	off := int64(first) * UnitSize
	n := min(int64(end)*UnitSize, co.size) - off
	w := &gather{co: co, units: b.units[first:end]}
	err := c.fetch(ctx, b.s.file, off, n, w)
	got, long := w.close()
	switch {
	case long:
		err = ErrLongFetch
	case err == nil && got < n:
		err = ErrShortFetch
	}
	c.mu.Lock()
	c.stats.Misses += int64(end - first)
	c.stats.Fetched += got
	c.mu.Unlock()
	if err != nil {
		return &FetchError{Off: off, Len: n, Err: err}
	}
	for i := first; i < end; i++ {
		b.got.set(int64(i))
	}
	return nil
}

// verify computes all MACs. A MAC that isn't known yet verifies nothing and refutes nothing.
func (b *smallBuffers) verify(mac [8]byte) (bool, error) {
	c, co := b.s.co.c, b.s.co
	macs := make([]megacrypto.ChunkMAC, co.chunks)
	for i := range macs {
		m := co.cipher.NewMAC()
		first, end := chunkUnits(i, co.size)
		for _, u := range b.units[first:end] {
			_, _ = m.Write(u.buf)
		}
		macs[i] = m.Sum()
	}
	if mac != ([8]byte{}) {
		if _, err := co.cipher.CheckMAC(co.size, macs, mac); err != nil {
			return false, nil
		}
	}
	c.mu.Lock()
	if co.small != b.s || b.s.ctx.Err() != nil {
		c.mu.Unlock()
		return false, errAbandoned
	}
	copy(co.macs, macs)
	for i := range macs {
		co.known.set(int64(i))
		co.fresh.unset(int64(i))
	}
	verified := mac != [8]byte{} && mac == co.mac
	if verified {
		co.verified, co.suspect = true, false
	}
	flags, tag := co.flagsLocked()
	c.mu.Unlock()
	b.macs, b.flags, b.tag = macs, flags, tag
	return true, nil
}

// store writes to disk what did not come from there.
func (b *smallBuffers) store() {
	co := b.s.co
	if b.scratch == nil {
		return
	}
	gen := co.entry.generation()
	for i, u := range b.units {
		if !b.stored.has(int64(i)) {
			out := b.scratch[:len(u.buf)]
			co.cipher.XORKeyStreamAt(out, u.buf, u.index*UnitSize)
			co.entry.write(gen, u.index, out)
		}
	}
	for i, mac := range b.macs {
		co.entry.saveMAC(i, mac)
	}
	co.entry.save(b.flags, b.tag)
}
