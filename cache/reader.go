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
	if err := r.awaitVerdictLocked(ctx, off, off+int64(len(p))); err != nil {
		return 0, err
	}
	return n, nil
}

// awaitVerdictLocked ends a read of [off, end) in a file that is served while it arrives. The read with which all has come
// waits for the verdict; when that is bad, each reader that was open gets no more, also one that had nothing from here:
// its program may have had wrong bytes out of the kernel's pages. A file that is read whole is right, or its reading
// fails.
func (r *Reader) awaitVerdictLocked(ctx context.Context, off, end int64) error {
	c := r.c
	for r.co.wrong <= r.since && r.co.awaitsVerdictLocked(off, end) {
		if err := c.awaitNewsLocked(ctx, r.co); err != nil {
			return err
		}
	}
	if r.co.wrong > r.since {
		return ErrWrong
	}
	return nil
}

// awaitsVerdictLocked tells whether the verdict on what has come of a content is about to be known: of one that was never
// verified, when all has come; of one that was, and of which bytes were fetched again, when all of a chunk of [off, end)
// has.
func (co *content) awaitsVerdictLocked(off, end int64) bool {
	if co.accepted || co.quarantined || co.mac == ([8]byte{}) {
		return false
	}
	if co.checking {
		return true
	}
	if co.verified {
		for i := chunkOf(unitOf(off)); i <= chunkOf(unitOf(end-1)); i++ {
			if job := co.jobs[i]; job != nil && job.wholeLocked() {
				return true
			}
		}
		return false
	}
	whole, working := co.known.count(), false
	for i, job := range co.jobs {
		if job.wholeLocked() && !co.known.has(int64(i)) {
			whole, working = whole+1, true
		}
	}
	return working && whole == int64(co.chunks)
}

// read is ReadAt in a file that is served while it arrives.
func (r *Reader) read(ctx context.Context, p []byte, off int64) (n int, err error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.passLocked(ctx, p, off, off+int64(len(p)))
}

// passLocked waits for the bytes [off, end), unit by unit, and copies them to p, if that isn't nil. c.mu is free
// while it waits and copies.
func (r *Reader) passLocked(ctx context.Context, p []byte, off, end int64) (n int, err error) {
	c := r.c
	a := r.adviseLocked(off, end)
	for settled := false; off+int64(n) < end; {
		at := off + int64(n)
		u, err := r.obtainLocked(ctx, unitOf(at), end, a)
		if err != nil {
			return n, err
		}
		if !settled {
			r.streams.settle(a, r.aheadLocked(u.index+1, end, a))
			settled = true
		}
		skip := int(at - u.index*UnitSize)
		need := int(min(int64(len(u.buf)), int64(skip)+end-at))
		if c.strict {
			need = len(u.buf) // what is to be verified counts as having come when it is whole
		}
		if u.filled < need {
			r.streams.starve()
		}
		wrong := r.co.wrong
		if err = c.awaitLocked(ctx, u, need); err == nil && r.co.wrong != wrong {
			err = errAbandoned // found to be wrong in the meantime
		}
		if err == nil {
			u.markReadLocked()
			if p != nil {
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
