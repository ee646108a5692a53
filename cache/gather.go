package cache

import (
	"sync"
	"sync/atomic"
)

// gather is the io.Writer of a small file's fetch: it decrypts into units that nobody else sees yet.
type gather struct {
	// Constant data.
	co    *content
	units []*unit // that follow each other
	came  *atomic.Int64

	mu sync.Mutex // for a FetchFunc that goes on writing after its return

	// GUARDED_BY(mu).
	got     int64 // bytes that have come
	closed  bool
	tooLong bool
}

// Write takes the next ciphertext.
func (w *gather) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, errAfterEnd
	}
	n := 0
	for n < len(p) {
		i, at := int(w.got/UnitSize), int(w.got%UnitSize)
		if i == len(w.units) || at == len(w.units[i].buf) {
			w.tooLong = true
			return n, ErrLongFetch
		}
		u := w.units[i]
		k := min(len(p)-n, len(u.buf)-at)
		w.co.cipher.XORKeyStreamAt(u.buf[at:at+k], p[n:n+k], u.index*UnitSize+int64(at))
		n += k
		w.advance(k)
	}
	return n, nil
}

func (w *gather) advance(n int) {
	w.got += int64(n)
	w.came.Add(int64(n))
}

// Lend gives memory to read the next ciphertext into; it is decrypted in its place.
func (w *gather) Lend() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, at := int(w.got/UnitSize), int(w.got%UnitSize)
	if w.closed || i == len(w.units) || at == len(w.units[i].buf) {
		return nil
	}
	return w.units[i].buf[at:]
}

// Commit takes the first n bytes of what was lent last.
func (w *gather) Commit(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errAfterEnd
	}
	u, at := w.units[w.got/UnitSize], int(w.got%UnitSize)
	b := u.buf[at : at+n]
	w.co.cipher.XORKeyStreamAt(b, b, u.index*UnitSize+int64(at))
	w.advance(n)
	return nil
}

// close refuses what comes later, and tells how much came and whether it was too much.
func (w *gather) close() (got int64, tooLong bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return w.got, w.tooLong
}
