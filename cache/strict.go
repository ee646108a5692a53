package cache

import (
	"context"
	"errors"
)

// Verification on demand: all of a file is read, so that its MAC can be compared, before anybody relies on it.

// Verify reads what is needed to tell whether a file's content is what its key says, and tells: nil, or
// ErrQuarantined, or why it could not be read. progress, if not nil, is told of bytes that are done with, in all
// the file's size if all goes well. A file that was verified before is not read again.
func (c *Cache) Verify(ctx context.Context, f File, progress func(n int64)) error {
	r := c.NewReader(f)
	defer r.Close()
	return r.verify(ctx, progress)
}

// setStill stops or resumes looking ahead: what only fills gaps must not fetch again what lies between them.
func (r *Reader) setStill(on bool) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.still = on
}

// verifyPasses is how often a file is gone through: once, again whenever it was wrong, and for chunks that missed
// their MAC since memory was short.
const verifyPasses = mostWrong + 4

func (r *Reader) verify(ctx context.Context, progress func(int64)) error {
	defer r.setStill(false)
	told := int64(0)
	tell := func(upTo int64) {
		if progress != nil && upTo > told {
			progress(upTo - told)
			told = upTo
		}
	}
	for pass := range verifyPasses {
		r.setStill(pass > 0)
		if err := r.seeAll(ctx, tell); err != nil {
			return err
		}
		if done, err := r.verdict(ctx, 0, r.co.chunks); done || err != nil {
			if err == nil {
				tell(r.co.size)
			}
			return err
		}
	}
	return errUnverified
}

var errUnverified = errors.New("cache: a file's content could not be verified for want of memory")

// seeAll reads the chunks whose MAC isn't known.
func (r *Reader) seeAll(ctx context.Context, tell func(int64)) error {
	if r.settled(0, r.co.chunks) {
		return nil
	}
	if r.co.size <= smallSize {
		var one [1]byte
		_, err := r.readSmall(ctx, one[:], 0)
		return err
	}
	for chunk := range r.co.chunks {
		if err := r.readChunk(ctx, chunk); err != nil {
			return err
		}
		_, end := chunkUnits(chunk, r.co.size)
		tell(min(end*UnitSize, r.co.size))
	}
	return nil
}

// settled tells whether everything that is here of chunks [first, end) was compared with the key's MAC, and fitted,
// or is to be taken as it is.
func (r *Reader) settled(first, end int) bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.co.settledLocked(first, end)
}

func (co *content) settledLocked(first, end int) bool {
	if co.size == 0 || co.accepted {
		return true
	}
	if !co.verified || co.quarantined {
		return false
	}
	for i := first; i < end; i++ {
		if co.fresh.has(int64(i)) {
			return false
		}
	}
	return true
}

// verdict waits until what was read of chunks [first, end) has been compared; done is false if something is still
// to be read.
func (r *Reader) verdict(ctx context.Context, first, end int) (done bool, err error) {
	c, co := r.c, r.co
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := r.readableLocked(); err != nil {
			return false, err
		}
		if co.settledLocked(first, end) {
			return true, nil
		}
		if co.mac == ([8]byte{}) || !co.checking && !co.workingLocked(first, end) {
			return false, nil
		}
		if err := c.awaitNewsLocked(ctx, co); err != nil {
			return false, err
		}
	}
}

// workingLocked tells whether a MAC of chunks [first, end) is being computed.
func (co *content) workingLocked(first, end int) bool {
	for i, job := range co.jobs {
		if job.queued && i >= first && i < end {
			return true
		}
	}
	return false
}

// awaitNewsLocked waits until something is found out about a content; c.mu is free meanwhile.
func (c *Cache) awaitNewsLocked(ctx context.Context, co *content) error {
	if co.news == nil {
		co.news = make(chan struct{})
	}
	news := co.news
	c.hurryMACsLocked()
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-news:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return ErrClosed
	}
}

// tellLocked wakes who waits for news of a content.
func (co *content) tellLocked() {
	if co.news != nil {
		close(co.news)
		co.news = nil
	}
}

// readStrict is ReadAt where nothing is served that was not verified: the whole file is, before its first byte,
// and each chunk that is fetched anew afterwards, as a whole.
func (r *Reader) readStrict(ctx context.Context, p []byte, off int64) (int, error) {
	first, end := chunkOf(unitOf(off)), chunkOf(unitOf(off+int64(len(p))-1))+1
	for {
		if !r.settled(0, 0) {
			if err := r.verify(ctx, nil); err != nil {
				return 0, err
			}
		}
		n, err := r.read(ctx, p, off)
		if err != nil {
			return 0, err
		}
		if r.settled(first, end) { // nothing of what was copied had come in the meantime
			return n, nil
		}
		for chunk := first; chunk < end; chunk++ {
			from, to := chunkUnits(chunk, r.co.size)
			if err := r.readUnits(ctx, from, to); err != nil {
				return 0, err
			}
		}
		if _, err := r.verdict(ctx, first, end); err != nil {
			return 0, err
		}
	}
}

// Accept lets a file be read whose content does not match its MAC: what its owner has decided. It holds until
// Drop.
func (c *Cache) Accept(f File) {
	co := c.hold(f)
	defer c.release(co)
	c.mu.Lock()
	co.accepted, co.suspect, co.quarantined = true, false, false
	c.mu.Unlock()
	co.save()
}
