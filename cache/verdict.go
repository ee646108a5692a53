package cache

import "context"

// A file that is read whole is right, or its reading fails.

// awaitVerdictLocked ends a read in a file that is served while it arrives. The read with which all of the file has come
// waits for the verdict, and so does each later one until there is one; when it is bad, each reader that was open gets no
// more, also one that had nothing from here: its program may have had wrong bytes out of the kernel's pages. c.mu is free
// while it waits.
func (r *Reader) awaitVerdictLocked(ctx context.Context) error {
	c, co := r.c, r.co
	for pass := 0; co.wrong <= r.since && co.owesVerdictLocked(); {
		if co.checking || co.workingLocked(0, co.chunks) {
			if err := c.awaitNewsLocked(ctx, co); err != nil {
				return err
			}
			continue
		}
		if pass++; pass > recheckPasses {
			return errUnverified
		}
		c.mu.Unlock()
		err := c.fillGaps(ctx, co, r.file)
		c.mu.Lock()
		if err != nil {
			return err
		}
	}
	if co.wrong > r.since {
		return ErrWrong
	}
	return nil
}

// owesVerdictLocked tells whether all of a content was served, perhaps, and it isn't known to be right.
func (co *content) owesVerdictLocked() bool {
	if co.accepted || co.quarantined || co.mac == ([8]byte{}) || co.seen.count < unitEnd(co.size) {
		return false
	}
	return co.checking || !co.verified || co.fresh.any()
}

// fillGaps reads what is missing to compute the MACs that aren't known: units that left memory and disk before their
// chunk was whole. They are compared with what was served of them.
func (c *Cache) fillGaps(ctx context.Context, co *content, f File) error {
	c.mu.Lock()
	co.refs++
	c.mu.Unlock()
	r := c.readerOf(co, f)
	defer r.Close()
	r.setStill(true)
	return r.readChunks(ctx)
}

// Standing is what bytes of a file are worth that were served before and kept by somebody, as the kernel keeps pages.
type Standing int

// Standings of kept bytes.
const (
	Good      Standing = iota // right; or the cache knows what it served, and says so when that turns out wrong
	Forgotten                 // the cache doesn't know any more what it served
	Refuted                   // some were wrong
)

// Standing is to be asked before kept bytes are served again. It also gives a stamp of now; stamp is that of the last time,
// 0 for none.
func (c *Cache) Standing(f File, stamp int64) (now int64, s Standing) {
	if f.Size <= smallSize {
		return 0, Good // was verified first
	}
	co := c.hold(f)
	defer c.release(co)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case co.wrong > 0:
		s = Refuted
	case co.born != stamp && (!co.verified || co.fresh.any()):
		s = Forgotten
	}
	return co.born, s
}
