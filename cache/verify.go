package cache

import (
	"runtime"
	"slices"
	"sync"

	"megadisk/megaclient/megacrypto"
)

// Verification of what is served while it arrives: a chunk's MAC is computed as soon as all its units
// are here, in whatever order they came, on all cores; the file's as soon as all chunks' are known.
//
// INVARIANT: verified means that each chunk's MAC is known and that together they fitted, or that we
// made the content ourselves; a chunk in fresh has bytes that came after that

// macJob is the MAC of one chunk, being computed.
type macJob struct {
	co    *content
	chunk int
	units [smallUnits]*unit // those in memory, pinned; the others are on disk
	stale bool              // more bytes of the chunk came meanwhile. GUARDED_BY(Cache.mu)
}

// arrivedLocked is told of each unit that becomes readable. What came from the network must be checked,
// what came from disk only if its chunk never was.
func (c *Cache) arrivedLocked(co *content, u int64, network bool) {
	chunk := chunkOf(u)
	if network {
		co.fresh.set(int64(chunk))
	} else if co.known.has(int64(chunk)) && !co.fresh.has(int64(chunk)) {
		return
	}
	if job := co.jobs[chunk]; job != nil {
		job.stale = job.stale || network
		return
	}
	c.queueMACLocked(co, chunk)
}

// queueMACLocked has a chunk's MAC computed if all its units are here.
func (c *Cache) queueMACLocked(co *content, chunk int) {
	first, end := chunkUnits(chunk, co.size)
	for u := first; u < end; u++ {
		if !co.haveLocked(u) {
			return
		}
	}
	job := &macJob{co: co, chunk: chunk}
	for u := first; u < end; u++ {
		if m := co.units[u]; m != nil {
			m.pins++
			job.units[u-first] = m
		}
	}
	co.jobs[chunk] = job
	co.refs++
	c.macQueue = append(c.macQueue, job)
	if c.macers < runtime.GOMAXPROCS(0) && c.goLocked(c.computeMACs) {
		c.macers++
	}
}

// computeMACs works until the queue is empty.
func (c *Cache) computeMACs() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.macQueue) > 0 {
		job := c.macQueue[0]
		c.macQueue[0] = nil
		c.macQueue = c.macQueue[1:]
		var mac megacrypto.ChunkMAC
		ok := false
		if !c.closed {
			c.mu.Unlock()
			mac, ok = job.compute()
			c.mu.Lock()
		}
		retired := c.settleMACLocked(job, mac, ok)
		if ok || retired != nil {
			c.mu.Unlock()
			if ok {
				job.co.entry.saveMAC(job.chunk, mac)
			}
			retired.retire()
			c.mu.Lock()
		}
	}
	c.macers--
}

// compute gives the chunk's MAC, unless one of its units was evicted meanwhile.
func (j *macJob) compute() (megacrypto.ChunkMAC, bool) {
	m := j.co.cipher.NewMAC()
	first, end := chunkUnits(j.chunk, j.co.size)
	for u := first; u < end; u++ {
		if mem := j.units[u-first]; mem != nil {
			_, _ = m.Write(mem.buf)
			continue
		}
		if !j.co.withStored(u, func(plain []byte) { _, _ = m.Write(plain) }) {
			return megacrypto.ChunkMAC{}, false
		}
	}
	return m.Sum(), true
}

var scratch = sync.Pool{New: func() any { return new([UnitSize]byte) }}

// withStored calls fn with the plaintext of a unit on disk.
func (co *content) withStored(u int64, fn func(plain []byte)) bool {
	buf := scratch.Get().(*[UnitSize]byte)
	defer scratch.Put(buf)
	b := buf[:unitLen(u, co.size)]
	if co.entry.read(u, b) != nil {
		return false
	}
	co.cipher.XORKeyStreamAt(b, b, u*UnitSize)
	fn(b)
	return true
}

// settleMACLocked takes in a MAC and gives the job's holds back.
func (c *Cache) settleMACLocked(job *macJob, mac megacrypto.ChunkMAC, ok bool) *content {
	co, i := job.co, int64(job.chunk)
	for _, u := range job.units {
		if u != nil {
			c.mem.unpin(u)
		}
	}
	current := co.jobs[job.chunk] == job // else the content was dropped meanwhile
	if current {
		delete(co.jobs, job.chunk)
	}
	switch {
	case !current:
	case job.stale:
		c.queueMACLocked(co, job.chunk)
	case !ok: // a unit is gone; when it comes again the chunk has its next chance
	case co.verified && co.known.has(i) && co.macs[i] != mac:
		co.refs++
		if !c.goLocked(func() { defer c.release(co); c.wrong(co) }) {
			co.refs--
		}
	default:
		co.macs[i] = mac
		co.known.set(i)
		co.fresh.unset(i)
		c.checkMetaLocked(co)
	}
	return c.releaseLocked(co)
}

// checkMetaLocked compares all MACs with the key's, once they are known. The comparison runs in a
// goroutine: finding out which known variant fits may take a second.
func (c *Cache) checkMetaLocked(co *content) {
	if co.verified || co.checking || co.quarantined || co.chunks == 0 || co.mac == ([8]byte{}) {
		return
	}
	if co.known.count() < int64(co.chunks) || co.fresh.count() > 0 {
		return
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
	co.checking = false
	if current && err == nil {
		co.verified, co.suspect = true, false
	}
	flags, tag := co.flagsLocked()
	c.mu.Unlock()
	switch {
	case !current:
	case err == nil:
		co.entry.save(flags, tag)
	default:
		c.wrong(co)
	}
}

// wrong deals with a large file that failed, in a goroutine of the cache's.
func (c *Cache) wrong(co *content) {
	if !c.mismatch(co) {
		c.recheck(co)
	}
}

// mismatch is called when the bytes that came are not what the key says. The first time all of them go
// and are fetched once more; the second time they go for good. It tells whether this was the second.
func (c *Cache) mismatch(co *content) bool {
	c.mu.Lock()
	again := co.suspect
	c.forgetLocked(co)
	co.suspect, co.quarantined = true, again
	c.stats.Mismatches++
	flags, tag := co.flagsLocked()
	c.mu.Unlock()
	if again {
		c.log.Warn("a file's content does not match its key, also when fetched a second time: it is quarantined")
	} else {
		c.log.Warn("a file's content does not match its key: fetching it once more")
	}
	co.entry.save(flags, tag)
	return again
}

// forgetLocked takes all bytes and all that is known of them from a content; those who wait begin anew.
// What is on disk can't be read from then on; removing it is the caller's next step.
func (c *Cache) forgetLocked(co *content) {
	for _, u := range co.units {
		switch {
		case u.flight != nil && !u.flight.over:
			c.abandonLocked(u.flight)
		case !u.ready:
			c.failLocked(u, errAbandoned)
		}
		c.mem.discard(u)
	}
	clear(co.known)
	clear(co.fresh)
	clear(co.jobs)
	co.dropPartsLocked()
	co.verified, co.checking = false, false
	co.entry.forget()
}

// flagsLocked is what of the state outlives the process.
func (co *content) flagsLocked() (flags uint32, tag [16]byte) {
	if co.verified {
		flags |= flagVerified
	}
	if co.suspect {
		flags |= flagSuspect
	}
	if co.quarantined {
		flags |= flagQuarantined
	}
	return flags, co.c.macTag(co.mac)
}

// recheck reads a file that failed its MAC from its beginning to its end, so that the verdict does not
// wait until somebody does. If the fetch fails the file stays suspect, and the next one to read it whole
// brings the verdict.
func (c *Cache) recheck(co *content) {
	c.mu.Lock()
	co.refs++
	r := &Reader{c: c, co: co, file: co.file}
	c.mu.Unlock()
	defer r.Close()
	for range recheckPasses {
		for chunk := range co.chunks {
			if err := r.readChunk(chunk); err != nil {
				return
			}
		}
	}
}

// recheckPasses is how often a file is gone through: a chunk may miss its MAC when memory is so short
// that its first unit is gone before its last comes.
const recheckPasses = 3

// readChunk reads one chunk if its MAC isn't known.
func (r *Reader) readChunk(chunk int) error {
	r.c.mu.Lock()
	known := r.co.known.has(int64(chunk)) || r.co.jobs[chunk] != nil
	r.c.mu.Unlock()
	if known {
		return nil
	}
	buf := scratch.Get().(*[UnitSize]byte)
	defer scratch.Put(buf)
	first, end := chunkUnits(chunk, r.co.size)
	for u := first; u < end; u++ {
		if _, err := r.ReadAt(r.c.ctx, buf[:unitLen(u, r.co.size)], u*UnitSize); err != nil {
			return err
		}
	}
	return nil
}
