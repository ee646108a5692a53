package cache

import (
	"context"
	"errors"
	"sync"
	"time"
)

// flight is one call of FetchFunc: units [first, end) of a content on their way. It is the io.Writer
// that the ciphertext goes to. Each piece is decrypted and readers are woken before anything else is
// done with it; the ciphertext of whole units then goes to disk, several together.
type flight struct {
	// Dependencies and constant data.
	c          *Cache
	co         *content
	file       File
	first, end int64
	front      int // of a single unit: so much of its beginning comes by itself (front.go)
	ctx        context.Context
	cancel     context.CancelFunc
	diskGen    int64 // of the entry, so that nothing is stored into one that was cleared meanwhile

	// GUARDED_BY(Cache.mu).
	units   []*unit // each pinned until its bytes are stored
	wanted  int     // readers that own it or wait for it; at 0 it is cancelled
	ahead   bool    // no program has asked for any of it yet
	need    need    // the same, for FetchFunc
	asked   int64   // units before this one were asked for by a program
	over    bool    // FetchFunc has returned, or was told to
	missing int     // units still to come

	// The fetching goroutine's own. The mutex is for a FetchFunc that goes on writing after its return.
	mu      sync.Mutex
	closed  bool
	at      int    // unit being filled
	got     int    // up to here it has come; what readers see is unit.filled
	scratch []byte // their ciphertext; nil without disk level
	kept    *spill // whole units before that one, whose ciphertext is to go to disk together
	tooLong bool
	begun   time.Time // when the fetch was asked for; zero once the first byte has come
}

// cost is the number of permits that a flight of n units needs.
func (c *Cache) cost(co *content, n int) int {
	if co.entry == nil {
		return n
	}
	return n + 1 // the scratch buffer
}

// launchLocked starts the fetch of units, which follow each other, are in co.units and pinned once, for
// one who wants them; a program has asked for those before unit asked. The caller holds the permits of
// cost. A front is for one unit only, and comes by itself.
func (c *Cache) launchLocked(co *content, f File, units []*unit, asked int64, front int) *flight {
	ahead := units[0].index >= asked
	fl := &flight{
		c: c, co: co, file: f, units: units, ahead: ahead, asked: asked, wanted: 1, missing: len(units),
		first: units[0].index, end: units[len(units)-1].index + 1,
		front: front, got: front, diskGen: co.entry.generation(),
	}
	ctx := c.ctx
	if co.suspect {
		ctx = withFreshURL(ctx, co.wrongAt)
	}
	if ahead {
		fl.need = later()
	}
	fl.ctx, fl.cancel = context.WithCancel(fl.need.in(ctx))
	for _, u := range units {
		u.flight, u.unread, u.again = fl, u.index >= asked, co.seen.before(u.index)
	}
	units[0].from, units[0].got, units[0].filled = front, front, front
	if co.entry != nil {
		fl.scratch = c.mem.buffer()
	}
	co.refs++
	c.mem.flying += len(units)
	if ahead {
		c.ahead++
	}
	if !c.goLocked(fl.run) {
		fl.endLocked(ErrClosed)
	}
	return fl
}

func (fl *flight) bounds() (off, n int64) {
	off = fl.first * UnitSize
	return off, min(fl.end*UnitSize, fl.co.size) - off
}

func (fl *flight) run() {
	off, n := fl.bounds()
	fl.begun = time.Now()
	err := fl.fetch(off, n)
	fl.mu.Lock()
	fl.closed = true
	switch {
	case fl.tooLong:
		err = ErrLongFetch
	case err == nil && fl.at < len(fl.units):
		err = ErrShortFetch
	}
	fl.flush(false)
	fl.mu.Unlock()
	if err != nil {
		err = &FetchError{Off: off, Len: n, Err: err}
	}
	fl.c.mu.Lock()
	retired := fl.endLocked(err)
	fl.c.mu.Unlock()
	retired.retire()
}

// endLocked settles what is left of a flight: units that did not come fail with err.
func (fl *flight) endLocked(err error) *content {
	c := fl.c
	fl.cancel()
	fl.stopLocked()
	if c.closed && err != nil {
		err = ErrClosed
	}
	for _, u := range fl.units {
		if u == nil {
			continue // stored and unpinned
		}
		u.flight = nil
		if !u.ready {
			c.failLocked(u, err)
		}
		c.mem.unpin(u)
	}
	fl.units = nil
	if fl.scratch != nil {
		c.mem.recycle(fl.scratch)
		c.mem.give(1)
	}
	return c.releaseLocked(fl.co)
}

// stopLocked takes a flight out of the counts.
func (fl *flight) stopLocked() {
	if fl.over {
		return
	}
	fl.over = true
	fl.c.mem.flying -= fl.missing
	if fl.ahead {
		fl.c.ahead--
	}
}

// unwantLocked ends one reader's interest. With the last one the fetch is cancelled; units that have
// come whole stay.
func (c *Cache) unwantLocked(fl *flight) {
	fl.wanted--
	if fl.wanted > 0 || fl.over {
		return
	}
	c.abandonLocked(fl)
}

// abandonLocked cancels a flight and takes its unfinished units away from everybody.
func (c *Cache) abandonLocked(fl *flight) {
	fl.cancel()
	fl.stopLocked()
	for _, u := range fl.units {
		if u != nil && !u.ready {
			c.failLocked(u, errAbandoned)
		}
	}
}

// dueLocked tells whether bytes that a program asked for are still to come.
func (fl *flight) dueLocked() bool { return fl.end-int64(fl.missing) < min(fl.asked, fl.end) }

// demandLocked notes that a program asked for a unit on its way.
func (c *Cache) demandLocked(u *unit) {
	fl := u.flight
	u.markReadLocked()
	fl.asked = max(fl.asked, u.index+1)
	if fl.ahead {
		fl.ahead = false
		fl.need.now()
		if !fl.over {
			c.ahead--
		}
	}
}

// Write takes the next ciphertext.
func (fl *flight) Write(p []byte) (int, error) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.closed {
		return 0, errAfterEnd
	}
	n := 0
	for n < len(p) {
		if err := fl.ctx.Err(); err != nil {
			return n, err
		}
		k := copy(fl.roomLocked(), p[n:])
		if k == 0 {
			fl.tooLong = true
			return n, ErrLongFetch
		}
		fl.take(k)
		n += k
	}
	return n, nil
}

// Lend gives memory to read the next ciphertext into, so that it need not be copied; none when no more
// may come. It is the caller's until Commit.
func (fl *flight) Lend() []byte {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.closed {
		return nil
	}
	return fl.roomLocked()
}

// Commit takes the first n bytes of what was lent last.
func (fl *flight) Commit(n int) error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.closed {
		return errAfterEnd
	}
	if err := fl.ctx.Err(); err != nil {
		return err
	}
	fl.take(n)
	return nil
}

// roomLocked is where the ciphertext goes that comes next; none when no more may come.
func (fl *flight) roomLocked() []byte {
	if fl.at == len(fl.units) {
		return nil
	}
	return fl.cipherLocked()[fl.got:]
}

// cipherLocked is the ciphertext of the unit being filled: without disk level it is decrypted in its place.
func (fl *flight) cipherLocked() []byte {
	buf := fl.units[fl.at].buf
	if fl.scratch != nil {
		return fl.scratch[:len(buf)]
	}
	return buf
}

var errAfterEnd = errors.New("write after the fetch has ended")

// take decrypts the next k bytes of the unit being filled, which stand where roomLocked said. fl.mu is held.
func (fl *flight) take(k int) {
	u := fl.decrypt(fl.got, k)
	fl.got += k
	fl.came(u, k, 0)
}

// decrypt makes plaintext of k bytes at an offset of the unit being filled.
func (fl *flight) decrypt(at, k int) *unit {
	u := fl.units[fl.at] // only who holds fl.mu takes entries out
	fl.co.cipher.XORKeyStreamAt(u.buf[at:at+k], fl.cipherLocked()[at:at+k], u.index*UnitSize+int64(at))
	return u
}

// came takes in what was decrypted of a unit: k bytes that follow what had come, or bytes of its front. fl.mu is held.
func (fl *flight) came(u *unit, k, front int) {
	whole := fl.got == len(u.buf) && u.front+front == fl.front // u.front changes here only
	var sum [sumSize]byte
	var m mark
	if whole {
		sum = fl.sum(u)
		m = markOf(sum)
	}
	now := time.Now()
	fl.c.mu.Lock()
	if !fl.begun.IsZero() {
		fl.c.link.first(now.Sub(fl.begun))
		fl.begun = time.Time{}
	}
	fl.c.link.moved(int64(k+front), now)
	fl.c.stats.Fetched += int64(k + front)
	if u.front += front; whole {
		u.from = 0
	}
	fl.c.comeLocked(u, k, m)
	keep := whole && fl.arrivedLocked(u, m)
	fl.c.mu.Unlock()
	if whole {
		fl.finish(u, keep, sum)
	}
}

// sum is the checksum of the unit that has just come whole: of its ciphertext, as the disk wants it, or, where that is
// not kept, of its plaintext.
func (fl *flight) sum(u *unit) [sumSize]byte {
	if fl.scratch != nil {
		return fl.co.entry.sum(u.index, fl.scratch[:len(u.buf)])
	}
	return fl.c.sums.unit(fl.co.id, u.index, u.buf)
}

// arrivedLocked makes a whole unit usable, and tells whether it is to be stored.
func (fl *flight) arrivedLocked(u *unit, m mark) (keep bool) {
	c, co := fl.c, fl.co
	if !fl.over {
		fl.missing--
		c.mem.flying--
	}
	if u.gone {
		if !u.again { // else it was never seen
			c.readyLocked(u)
		}
		return false
	}
	known := co.seen.mark(u.index) != 0
	co.seen.take(u.index, unitEnd(co.size), m)
	c.readyLocked(u)
	c.arrivedLocked(co, u.index, !known)
	return true
}

// finish keeps a whole unit's ciphertext for the disk, and goes on to the next unit. fl.mu is held.
func (fl *flight) finish(u *unit, keep bool, sum [sumSize]byte) {
	fl.c.mu.Lock()
	fl.units[fl.at] = nil
	fl.c.mu.Unlock()
	fl.at++
	fl.got = 0
	if keep && fl.scratch != nil {
		fl.keep(u, sum)
		return
	}
	fl.flush(false) // what follows doesn't continue it
	fl.c.mu.Lock()
	fl.c.mem.unpin(u)
	fl.c.mu.Unlock()
}

// keep adds a unit, whose ciphertext is in scratch, to the stretch that goes to disk, and sees to new scratch space.
func (fl *flight) keep(u *unit, sum [sumSize]byte) {
	if fl.kept == nil {
		fl.kept = &spill{co: fl.co, gen: fl.diskGen, data: stretch{first: u.index}}
	}
	fl.kept.data.bufs = append(fl.kept.data.bufs, fl.scratch)
	fl.kept.data.sums = append(fl.kept.data.sums, sum)
	fl.kept.units = append(fl.kept.units, u)
	fl.scratch = nil
	switch more := fl.at < len(fl.units); {
	case !more || len(fl.kept.units) == stretchMost:
		fl.flush(more)
	case !fl.renewScratch():
		fl.flush(true)
	}
}

func (fl *flight) renewScratch() bool {
	fl.c.mu.Lock()
	defer fl.c.mu.Unlock()
	if !fl.c.mem.reserve(1) {
		return false
	}
	fl.scratch = fl.c.mem.buffer()
	return true
}

// flush sends to disk what is kept for it. more asks for new scratch space, which is taken from it if need be.
func (fl *flight) flush(more bool) {
	s, c := fl.kept, fl.c
	if s == nil {
		return
	}
	fl.kept = nil
	c.mu.Lock()
	defer c.mu.Unlock()
	if !more || c.mem.reserve(1) {
		if c.spillLocked(s) {
			if more {
				fl.scratch = c.mem.buffer()
			}
			return
		}
		if more {
			c.mem.give(1)
		}
	}
	c.mu.Unlock()
	s.write()
	c.mu.Lock()
	if more {
		fl.scratch = s.data.bufs[0]
		s.data.bufs = s.data.bufs[1:] // the rest is given back
	}
	c.dropSpillLocked(s)
}
