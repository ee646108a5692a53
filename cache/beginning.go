package cache

import (
	"context"
	"slices"
	"sync"
)

// File managers tell what a file is by its first KiB. Of a large file that is likely to be opened next these are fetched
// ahead and kept beside the units, in memory alone. What was served of them is remembered as a beginning is (seen.go), so
// that the unit which comes later is compared with it; with that one they go.

const (
	beginningLen   = 16 << 10 // what the kernel asks for when a program reads the first page
	beginningsKept = 256
)

// beginning is the first bytes of a large file.
type beginning struct {
	plain  []byte // never changes
	sum    mark
	unread bool // GUARDED_BY(Cache.mu)
}

// readBeginningLocked gives the bytes [off, end) of a file if its beginning was fetched ahead and has them, and if nothing
// else of the file's first unit is here or was served.
func (r *Reader) readBeginningLocked(off, end int64) []byte {
	c, co := r.c, r.co
	if end > beginningLen || co.suspect || co.units[0] != nil || co.entry.has(0) || r.readableLocked() != nil {
		return nil
	}
	b, ok := c.beginnings.Get(co.id)
	if !ok {
		return nil
	}
	whole := []head{{0, len(b.plain), b.sum}}
	switch {
	case !co.seen.before(0):
		co.seen.addHead(0, whole[0])
	case co.seen.mark(0) != 0 || !slices.Equal(co.seen.heads[0], whole):
		return nil
	}
	if b.unread {
		b.unread = false
		c.stats.MemoryHits++
	}
	return b.plain[off:end]
}

// fetchBeginning brings in the first bytes of a large file that nobody has asked for yet.
func (c *Cache) fetchBeginning(f File) {
	co := c.hold(f)
	defer c.release(co)
	c.mu.Lock()
	missing := c.lacksLocked(co)
	c.mu.Unlock()
	w := &beginningWriter{buf: make([]byte, beginningLen)}
	if !missing || c.fetch(later().in(c.ctx), f, 0, beginningLen, w) != nil || !w.end() {
		return // who opens the file hears of an error
	}
	co.cipher.XORKeyStreamAt(w.buf, w.buf, 0)
	b := &beginning{plain: w.buf, sum: c.sums.head(co.id, 0, w.buf), unread: true}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Fetched += beginningLen
	c.beginnings.Remove(co.id) // of two that were fetched at once one is waste
	c.beginnings.Add(co.id, b)
}

// dropBeginningLocked is told of each one that goes.
func (c *Cache) dropBeginningLocked(_ id, b *beginning) {
	if b.unread {
		c.stats.Wasted += int64(len(b.plain))
	}
}

// beginningWriter takes the ciphertext of a beginning.
type beginningWriter struct {
	mu   sync.Mutex // for a FetchFunc that goes on writing after its return
	buf  []byte
	got  int
	over bool
}

var _ Lender = (*beginningWriter)(nil)

// end takes no more, and tells whether all has come.
func (w *beginningWriter) end() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	return w.got == len(w.buf)
}

// Write takes the next ciphertext.
func (w *beginningWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || len(p) > len(w.buf)-w.got {
		return 0, ErrLongFetch
	}
	w.got += copy(w.buf[w.got:], p)
	return len(p), nil
}

// Lend gives memory for the next ciphertext.
func (w *beginningWriter) Lend() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return nil
	}
	return w.buf[w.got:]
}

// Commit takes the first n bytes of what was lent last.
func (w *beginningWriter) Commit(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return context.Canceled
	}
	w.got += n
	return nil
}
