package cache

import (
	"context"
	"slices"
	"time"

	"megadisk/megaclient/megacrypto"
)

// Verification of what is served while it arrives: a chunk's MAC grows with each of its units (mac.go);
// the file's is compared as soon as all chunks' are known.
//
// INVARIANT: verified means that all chunks' MACs together fitted, or that we made the content
// ourselves; a chunk in fresh has bytes that came after that

// settleMACLocked takes in a chunk's MAC.
func (c *Cache) settleMACLocked(co *content, chunk int, mac megacrypto.ChunkMAC) {
	i := int64(chunk)
	if co.known.has(i) && co.macs[i] != mac {
		c.refuteLocked(co, co.cipher.MetaMAC([]megacrypto.ChunkMAC{mac}))
		return
	}
	co.macs[i] = mac
	co.known.set(i)
	co.fresh.unset(i)
	c.checkMetaLocked(co)
	co.tellLocked()
}

// refuteLocked has a content dealt with of which two different things came; came is as for mismatch.
func (c *Cache) refuteLocked(co *content, came [8]byte) {
	if co.checking {
		return // the verdict comes already, and all goes if it is bad
	}
	co.refs++
	co.checking = true
	if !c.goLocked(func() { defer c.release(co); c.wrong(co, came) }) {
		co.checking = false
		co.refs--
	}
}

// checkMetaLocked compares all MACs with the key's, once they are known. The comparison runs in a
// goroutine: finding out which known variant fits may take a second.
func (c *Cache) checkMetaLocked(co *content) {
	if co.verified || co.checking || co.quarantined || co.accepted || co.chunks == 0 || co.mac == ([8]byte{}) {
		return
	}
	if co.known.count() < int64(co.chunks) {
		return // what is in fresh besides will be compared with what is known now
	}
	macs, mac := slices.Clone(co.macs), co.mac
	co.checking = true
	co.refs++
	if !c.goLocked(func() { c.checkMeta(co, macs, mac) }) {
		co.checking = false
		co.refs--
	}
}

func (c *Cache) checkMeta(co *content, macs []megacrypto.ChunkMAC, mac [8]byte) {
	defer c.release(co)
	_, err := co.cipher.CheckMAC(co.size, macs, mac)
	c.mu.Lock()
	current := co.checking // else everything was dropped while we compared
	if current && err == nil {
		co.verified, co.suspect, co.checking = true, false, false
	} // else forgetLocked, which comes next, ends the checking
	co.tellLocked()
	c.mu.Unlock()
	switch {
	case !current:
	case err == nil:
		co.save()
	default:
		c.wrong(co, co.cipher.MetaMAC(macs))
	}
}

// wrong deals with a large file that failed, in a goroutine of the cache's.
func (c *Cache) wrong(co *content, came [8]byte) {
	if !c.mismatch(co, came) {
		c.recheck(co)
	}
}

// mostWrong is how often different bytes may come in place of a file before it is given up. One of six servers that
// a file is spread over may be wrong: each of them is left out in turn, and the first time perhaps several.
const mostWrong = 7

// mismatch is called when the bytes that came are not what the key says; came is what their MAC would be, or zero
// where that isn't known. All of them go, and are fetched once more, another way. When the same come again, it is the file that is wrong and not a
// server: they go for good. It tells whether this is so.
func (c *Cache) mismatch(co *content, came [8]byte) bool {
	c.mu.Lock()
	if !co.suspect {
		co.wrongMACs = nil
	}
	again := came != ([8]byte{}) && slices.Contains(co.wrongMACs, came) || len(co.wrongMACs)+1 >= mostWrong
	co.wrongMACs = append(co.wrongMACs, came)
	c.forgetLocked(co)
	co.seen = seen{} // who had it is told
	co.suspect, co.quarantined = true, again
	co.wrongAt = time.Now()
	c.stats.Mismatches++
	co.wrong = c.stats.Mismatches
	c.wasWrong[co.id] = co.wrong
	co.tellLocked()
	c.mu.Unlock()
	if again {
		c.log.Warn("a file's content does not match its key, also when fetched again: it is quarantined")
	} else {
		c.log.Warn("a file's content does not match its key: fetching it once more")
	}
	co.save()
	return again
}

// forgetLocked takes all bytes and all that is known of them from a content; those who wait begin anew.
func (c *Cache) forgetLocked(co *content) {
	c.forgetBytesLocked(co)
	clear(co.known)
	clear(co.fresh)
	co.verified, co.checking = false, false
}

// forgetBytesLocked takes all bytes from a content. What is on disk can't be read from then on; removing it is the caller's
// next step.
func (c *Cache) forgetBytesLocked(co *content) {
	for _, u := range co.units {
		switch {
		case u.flight != nil && !u.flight.over:
			c.abandonLocked(u.flight)
		case !u.ready:
			c.failLocked(u, errAbandoned)
		}
		c.mem.discard(u)
	}
	co.dropJobsLocked()
	co.dropPartsLocked()
	co.entry.forget()
}

// flagsLocked is what of the state outlives the process.
func (co *content) flagsLocked() (flags uint32, tag [16]byte) {
	if co.verified && !co.fresh.any() {
		flags |= flagVerified
	}
	if co.suspect {
		flags |= flagSuspect
	}
	if co.quarantined {
		flags |= flagQuarantined
	}
	if co.accepted {
		flags |= flagAccepted
	}
	return flags, co.c.macTag(co.mac)
}

// save keeps it on disk. One at a time: what was the state last must be written last.
func (co *content) save() {
	co.saving.Lock()
	defer co.saving.Unlock()
	co.c.mu.Lock()
	flags, tag := co.flagsLocked()
	co.c.mu.Unlock()
	co.entry.save(flags, tag)
}

// recheck reads a file that failed its MAC from its beginning to its end, so that the verdict does not
// wait until somebody does. If the fetch fails the file stays suspect, and the next one to read it whole
// brings the verdict.
func (c *Cache) recheck(co *content) {
	c.mu.Lock()
	co.refs++
	file := co.file
	c.mu.Unlock()
	r := c.readerOf(co, file)
	defer r.Close()
	for pass := range recheckPasses {
		r.setStill(pass > 0)
		if r.readChunks(c.ctx) != nil {
			return
		}
	}
}

// readChunks reads the chunks whose MAC isn't known.
func (r *Reader) readChunks(ctx context.Context) error {
	for chunk := range r.co.chunks {
		if err := r.readChunk(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// recheckPasses is how often a file is gone through: a chunk may miss its MAC when memory is so short
// that its first unit is gone before its last comes.
const recheckPasses = 3

// readChunk has the MAC of one chunk computed if it isn't known, and reads what is missing for it.
func (r *Reader) readChunk(ctx context.Context, chunk int) error {
	c, co, i := r.c, r.co, int64(chunk)
	first, end := chunkUnits(chunk, co.size)
	next := end
	c.mu.Lock()
	if !co.known.has(i) || co.fresh.has(i) {
		job := co.jobLocked(chunk)
		c.advanceMACLocked(job)
		next = job.next
	}
	switch { // or it would look as if another stream began, and what was fetched ahead for this one would be given up
	case r.still:
	case next < end:
		next = first
	default:
		r.streams.skip(first*UnitSize, min(end*UnitSize, co.size))
	}
	c.mu.Unlock()
	return r.readUnits(ctx, next, end)
}

// readUnits reads units [first, end).
func (r *Reader) readUnits(ctx context.Context, first, end int64) error {
	buf := scratch.Get().(*[UnitSize]byte)
	defer scratch.Put(buf)
	for u := first; u < end; u++ {
		if _, err := r.read(ctx, buf[:unitLen(u, r.co.size)], u*UnitSize); err != nil {
			return err
		}
	}
	return nil
}
