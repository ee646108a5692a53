package cache

import (
	"context"
	"errors"
	"io"
)

// Reader reads one file through the cache and carries its read-ahead: one for each open handle. It is
// safe for concurrent use, as the kernel needs it.
type Reader struct {
	// Constant data.
	c    *Cache
	co   *content
	file File

	// GUARDED_BY(Cache.mu).
	closed  bool
	streams streams
	still   bool      // doesn't look ahead
	since   int64     // Stats.Mismatches when its program may have had the first bytes
	active  bool      // counted in Cache.streaming
	owned   []*flight // fetches that this reader keeps going
	demand  int64     // where the last read ended
	loading int       // spans that are being read from disk ahead of it
}

// NewReader opens a file. Nothing is fetched before the first read.
func (c *Cache) NewReader(f File) *Reader {
	return c.readerOf(c.hold(f), f)
}

// NewReaderSince is NewReader for a program that may have had bytes of the file from elsewhere, as from the kernel's
// pages, since [Stats].Mismatches was mismatches: if it was found wrong after that, the reader gives [ErrWrong].
func (c *Cache) NewReaderSince(f File, mismatches int64) *Reader {
	r := c.NewReader(f)
	r.since = mismatches
	return r
}

// readerOf makes a reader of a content that is held for it.
func (c *Cache) readerOf(co *content, f File) *Reader {
	c.mu.Lock()
	defer c.mu.Unlock()
	co.readers++
	return &Reader{c: c, co: co, file: f, since: c.stats.Mismatches}
}

// Close cancels what was being fetched for this reader alone. Reads under way end as they would have
// otherwise, or with ErrClosed.
func (r *Reader) Close() {
	c := r.c
	c.mu.Lock()
	if r.closed {
		c.mu.Unlock()
		return
	}
	r.closed = true
	for _, fl := range r.owned {
		c.unwantLocked(fl)
	}
	r.owned = nil
	if r.active {
		c.streaming--
	}
	r.writeOffLocked()
	r.co.readers--
	c.cancelSmallLocked(r.co)
	retired := c.releaseLocked(r.co)
	c.mu.Unlock()
	retired.retire()
}

// ReadAt reads len(p) bytes at off, as io.ReaderAt does: fewer only together with an error, which is
// io.EOF only at the file's end. It waits for these bytes alone. When ctx ends it returns ctx.Err(),
// and a fetch already under way goes on for as long as the reader is open.
func (r *Reader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, ErrOffset
	}
	size := r.co.size
	if len(p) == 0 {
		return 0, nil
	}
	if off >= size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), size-off)]
	var n int
	var err error
	switch {
	case size <= smallSize:
		n, err = r.readSmall(ctx, want, off)
	case r.c.strict:
		n, err = r.readStrict(ctx, want, off)
	default:
		n, err = r.readArriving(ctx, want, off)
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// readArriving is ReadAt in a file that is served while it arrives.
func (r *Reader) readArriving(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := r.read(ctx, p, off)
	if err != nil {
		return n, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if err := r.awaitVerdictLocked(ctx); err != nil {
		return 0, err
	}
	return n, nil
}

// read is ReadAt in a file that is served while it arrives.
func (r *Reader) read(ctx context.Context, p []byte, off int64) (n int, err error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if b := r.readBeginningLocked(off, off+int64(len(p))); b != nil {
		return copy(p, b), nil
	}
	return r.passLocked(ctx, p, off, off+int64(len(p)))
}

// passLocked waits for the bytes [off, end), unit by unit, and copies them to p, if that isn't nil. c.mu is free
// while it waits and copies.
func (r *Reader) passLocked(ctx context.Context, p []byte, off, end int64) (n int, err error) {
	c := r.c
	a := r.adviseLocked(off, end)
	for settled := false; off+int64(n) < end; {
		at := off + int64(n)
		u, err := r.obtainLocked(ctx, at, end, a)
		if err != nil {
			return n, err
		}
		if !settled {
			r.streams.settle(a, r.aheadLocked(u.index+1, end, a))
			r.loadAheadLocked(end)
			settled = true
		}
		skip := int(at - u.index*UnitSize)
		need := int(min(int64(len(u.buf)), int64(skip)+end-at))
		if c.strict {
			need = len(u.buf) // what is to be verified counts as having come when it is whole
		}
		if !u.has(skip, need) && u.flight != nil {
			r.streams.starve()
		}
		wrong := r.co.wrong
		if err = c.awaitLocked(ctx, u, skip, need); err == nil && r.co.wrong != wrong {
			err = errAbandoned // found to be wrong in the meantime
		}
		if err == nil {
			u.markReadLocked()
			if p != nil {
				c.showLocked(u, need)
				c.copyLocked(p[n:], u, skip, need)
			}
			n = int(min(end, u.index*UnitSize+int64(need)) - off)
		}
		c.mem.unpin(u)
		if err != nil && !errors.Is(err, errAbandoned) {
			return n, err
		}
	}
	return n, nil
}

// copyLocked copies out of a pinned unit, with c.mu free meanwhile.
func (c *Cache) copyLocked(p []byte, u *unit, from, to int) int {
	u.markReadLocked()
	c.mu.Unlock()
	n := copy(p, u.buf[from:to])
	c.mu.Lock()
	return n
}

// adviseLocked takes a read into the read-ahead and cancels what a jump made useless.
func (r *Reader) adviseLocked(off, end int64) advice {
	if r.still {
		return advice{}
	}
	a := r.streams.next(off, end, r.co.size, r.c.windowLocked())
	if a.Jumped {
		r.disownLocked()
	}
	if active := r.streams.active(); active != r.active && !r.closed {
		r.active = active
		if active {
			r.c.streaming++
		} else {
			r.c.streaming--
		}
	}
	return a
}

// windowLocked is how wide a reader's window may be: no wider than the link can fill, and a share of half
// of the memory and of what may be wasted.
func (c *Cache) windowLocked() int64 {
	shared := min(int64(c.mem.limit)*UnitSize/2, c.budgetLocked())
	return min(shared/int64(max(1, c.streaming)), c.link.window())
}

func (r *Reader) readableLocked() error {
	if r.closed {
		return ErrClosed
	}
	return r.co.readableLocked()
}
