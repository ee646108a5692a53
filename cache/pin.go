package cache

import (
	"context"
	"errors"
)

// ErrNotKept means that a file could not be kept on disk as a whole: for want of room, or of a disk level.
var ErrNotKept = errors.New("there is no room on disk to keep the file")

// Pin keeps what is on disk of a file, now and later, from being evicted, until Unpin or Close. It fetches
// nothing.
func (c *Cache) Pin(f File) { c.setPinned(f, true) }

// Unpin takes a Pin back.
func (c *Cache) Unpin(f File) { c.setPinned(f, false) }

func (c *Cache) setPinned(f File, on bool) {
	if c.store == nil {
		return
	}
	co := c.hold(f)
	defer c.release(co)
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	if on {
		c.store.pinned[co.id] = true
	} else {
		delete(c.store.pinned, co.id)
	}
}

// Fill brings to disk all of a file that isn't there yet. progress, if not nil, is told of bytes that are done
// with. ErrNotKept says that some of it did not stay.
func (c *Cache) Fill(ctx context.Context, f File, progress func(n int64)) error {
	r := c.NewReader(f)
	defer r.Close()
	buf := scratch.Get().(*[UnitSize]byte)
	defer scratch.Put(buf)
	gap := false
	for u := range unitEnd(f.Size) {
		n := unitLen(u, f.Size)
		// From the first gap on everything is read: left out stretches would look like seeking.
		if gap = gap || !r.co.entry.has(u); gap {
			if _, err := r.ReadAt(ctx, buf[:n], u*UnitSize); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(int64(n))
		}
	}
	if missing, err := r.missing(ctx); err != nil || missing {
		return errors.Join(err, ErrNotKept)
	}
	return nil
}

// missing tells whether some of a file isn't on disk. Units that have just been read may be on their way there.
func (r *Reader) missing(ctx context.Context) (bool, error) {
	for u := range unitEnd(r.co.size) {
		for !r.co.entry.has(u) {
			waited, err := r.awaitStored(ctx, u)
			if err != nil {
				return false, err
			}
			if !waited {
				return !r.co.entry.has(u), nil
			}
		}
	}
	return false, nil
}

// awaitStored waits for somebody who may be about to store a unit; waited is false if there is nobody.
func (r *Reader) awaitStored(ctx context.Context, u int64) (waited bool, err error) {
	if fl := r.flightOf(u); fl != nil {
		select {
		case <-fl.ctx.Done():
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.co.spills == 0 {
		return false, nil
	}
	return true, r.c.awaitNewsLocked(ctx, r.co)
}

// flightOf gives the flight that is about to store a unit.
func (r *Reader) flightOf(u int64) *flight {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	for _, fl := range r.owned {
		if u >= fl.first && u < fl.end && fl.ctx.Err() == nil {
			return fl
		}
	}
	return nil
}

// isPinnedLocked tells whether a span must stay.
func (s *store) isPinnedLocked(at span) bool { return s.pinned[at.name] }
