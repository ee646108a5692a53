package cache

import (
	"context"
	"sync"
)

// loanUnits is how many units one loan can be of: the kernel's longest request, wherever it begins.
const loanUnits = 9

// Loan is bytes of a file where they lie in the cache's memory, so that who passes them on need not copy them. They
// don't change, and must not be changed, until Release.
type Loan struct {
	c     *Cache
	units [loanUnits]*unit // pinned
	parts [loanUnits][]byte
	n     int // units
	size  int
	last  bool // the reader goes on behind: it won't come back for these units
}

var loans = sync.Pool{New: func() any { return new(Loan) }}

// Parts gives the bytes, in their order.
func (l *Loan) Parts() [][]byte { return l.parts[:l.n] }

// Len is how many bytes there are.
func (l *Loan) Len() int { return l.size }

// Release ends the loan, once.
func (l *Loan) Release() {
	c := l.c
	c.mu.Lock()
	for i, u := range l.units[:l.n] {
		u.spent = l.last && (u.spent || i < l.n-1 || len(l.parts[i]) == len(u.buf))
		c.mem.unpin(u)
	}
	c.mu.Unlock()
	*l = Loan{}
	loans.Put(l)
}

// Lend is ReadAt without the copy: it waits for n bytes at off, or up to the file's end, and lends them. A nil loan
// without an error says that ReadAt must do, since they don't lie in memory all at once.
//
// Nothing is pinned while it waits for memory or bytes: who waits for memory holds none.
func (r *Reader) Lend(ctx context.Context, off, n int64) (*Loan, error) {
	end := min(off+n, r.co.size)
	if off < 0 || off >= end || r.co.size <= smallSize || r.c.strict || unitEnd(end)-unitOf(off) > loanUnits {
		return nil, nil
	}
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := r.passLocked(ctx, nil, off, end); err != nil {
		return nil, err
	}
	if err := r.awaitVerdictLocked(ctx); err != nil {
		return nil, err
	}
	l := r.co.lendLocked(off, end)
	if l != nil {
		l.last = !r.still && r.streams.active()
	}
	return l, nil
}

// lendLocked pins what is lent, if all of it is still there.
func (co *content) lendLocked(off, end int64) *Loan {
	first, last := unitOf(off), unitEnd(end)
	for i := first; i < last; i++ {
		u := co.units[i]
		if u == nil || !u.has(int(max(0, off-i*UnitSize)), int(min(int64(len(u.buf)), end-i*UnitSize))) {
			return nil
		}
	}
	l := loans.Get().(*Loan)
	l.c, l.n, l.size = co.c, int(last-first), int(end-off)
	for i := first; i < last; i++ {
		u, start := co.units[i], i*UnitSize
		to := min(int64(len(u.buf)), end-start)
		u.pins++
		co.c.showLocked(u, int(to))
		l.units[i-first] = u
		l.parts[i-first] = u.buf[max(0, off-start):to]
	}
	return l
}
