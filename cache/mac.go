package cache

import (
	"runtime"
	"sync"
	"time"

	"megadisk/megaclient/megacrypto"
)

// macJob is the MAC of one chunk while it is computed, unit by unit in their order, which need not be the
// order in which they come: a unit that continues the run is pinned until it has gone in, one that comes
// early waits in the cache like any other.
//
// All but mac is GUARDED_BY(Cache.mu); mac belongs to the goroutine that works on the job, and to whoever
// holds Cache.mu while the job is not queued.
type macJob struct {
	co         *content
	chunk      int
	mac        *megacrypto.MACWriter
	first, end int64     // its units
	next       int64     // units before this one have gone in, or are in todo
	todo       []macUnit // that come next
	queued     bool      // in the queue, or being worked on
	again      bool      // a unit that had gone in was fetched anew: begin from the first
	dropped    bool      // with all of its content
}

// macUnit is a unit that goes into a MAC next.
type macUnit struct {
	index int64
	mem   *unit // pinned; nil: on disk
}

// arrivedLocked is told of each unit that becomes readable. What came from the network must be checked, unless it is
// what came before; anything else only if its chunk never was.
func (c *Cache) arrivedLocked(co *content, u int64, network bool) {
	chunk := chunkOf(u)
	if network {
		co.fresh.set(int64(chunk))
		co.verified = co.verified && co.known.has(int64(chunk)) // else nothing says what it should be
	} else if co.known.has(int64(chunk)) && !co.fresh.has(int64(chunk)) {
		return
	}
	job := co.jobLocked(chunk)
	if network && u < job.next {
		job.again = true
	}
	c.advanceMACLocked(job)
}

// jobLocked gives the job of a chunk, made if there is none.
func (co *content) jobLocked(chunk int) *macJob {
	job := co.jobs[chunk]
	if job == nil {
		job = &macJob{co: co, chunk: chunk, mac: co.cipher.NewMAC()}
		job.first, job.end = chunkUnits(chunk, co.size)
		job.next = job.first
		co.jobs[chunk] = job
	}
	return job
}

// advanceMACLocked takes up the units that continue the run, and has the job worked on if there are any.
func (c *Cache) advanceMACLocked(job *macJob) {
	if c.closed {
		return
	}
	if job.again && !job.queued {
		job.again = false
		job.next = job.first
		job.mac.Reset()
	}
	for ; job.next < job.end && job.co.haveLocked(job.next); job.next++ {
		m := job.co.units[job.next]
		if m != nil {
			m.pins++
			c.mem.hashing++
		}
		job.todo = append(job.todo, macUnit{job.next, m})
	}
	if job.queued || len(job.todo) == 0 {
		return
	}
	job.queued = true
	job.co.refs++
	c.macQueue = append(c.macQueue, job)
	c.startMACsLocked()
}

// MACs of several chunks cost little more than that of one when they are computed together, so a job waits a moment
// for others of its kind.
const (
	macTogether = 8                    // jobs that are worked on at once at most
	macEnough   = 6                    // so many fill the processor
	macPatience = 8 * time.Millisecond // or after so long with fewer, unless somebody waits for the verdict
)

// startMACsLocked has the queue worked on: at once when enough is in it, else soon.
func (c *Cache) startMACsLocked() {
	if len(c.macQueue) >= macEnough {
		c.hireMACerLocked(macEnough)
		return
	}
	if c.macTimer || c.macers > 0 {
		return
	}
	c.macTimer = c.goLocked(func() {
		t := time.NewTimer(macPatience)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.ctx.Done():
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.macTimer = false
		if len(c.macQueue) > 0 && c.macers == 0 {
			c.macers++
			c.computeMACsLocked(1)
		}
	})
}

// hireMACerLocked has the queue worked on if there are at least so many jobs in it.
func (c *Cache) hireMACerLocked(least int) {
	if c.macers < runtime.GOMAXPROCS(0) && c.goLocked(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.computeMACsLocked(least)
	}) {
		c.macers++
	}
}

// hurryMACsLocked is for somebody who waits for what is in the queue.
func (c *Cache) hurryMACsLocked() {
	if len(c.macQueue) > 0 {
		c.hireMACerLocked(1)
	}
}

// computeMACsLocked works, at first if there are at least so many jobs, and then for as long as there are enough;
// c.mu is free meanwhile.
func (c *Cache) computeMACsLocked(least int) {
	var work [macTogether]macWork
	for ; len(c.macQueue) >= least || c.closed && len(c.macQueue) > 0; least = macEnough {
		n := c.takeJobsLocked(&work)
		c.stepMACsLocked(work[:n])
		clear(work[:])
	}
	c.macers--
	if len(c.macQueue) > 0 {
		c.startMACsLocked() // what is left waits for more
	}
}

// takeJobsLocked takes the first job from the queue, and others of its content along with it.
func (c *Cache) takeJobsLocked(work *[macTogether]macWork) (n int) {
	co, rest := c.macQueue[0].co, c.macQueue[:0]
	for _, job := range c.macQueue {
		if job.co == co && n < macTogether {
			work[n] = macWork{job: job, todo: job.todo, ok: !c.closed}
			n++
			job.todo = nil
		} else {
			rest = append(rest, job)
		}
	}
	clear(c.macQueue[len(rest):])
	c.macQueue = rest
	return n
}

// macWork is what a job has to do in one step.
type macWork struct {
	job  *macJob
	todo []macUnit
	ok   bool // the disk has lost none of them
}

// stepMACsLocked works on jobs of one content, with c.mu free meanwhile.
func (c *Cache) stepMACsLocked(work []macWork) {
	c.mu.Unlock()
	work[0].job.co.foldTogether(work)
	c.mu.Lock()
	for _, w := range work {
		c.steppedMACLocked(w.job, w.todo, w.ok)
	}
}

// steppedMACLocked looks at what has happened to a job while it was worked on. c.mu may be free for a while.
func (c *Cache) steppedMACLocked(job *macJob, todo []macUnit, ok bool) {
	co := job.co
	c.unpinMACLocked(todo)
	job.queued = false
	co.tellLocked()
	var mac megacrypto.ChunkMAC
	whole := false
	switch {
	case job.dropped:
	case c.closed:
		c.unpinMACLocked(job.todo)
		job.todo = nil
	case !ok || job.again:
		c.unpinMACLocked(job.todo)
		job.todo, job.again = nil, true
		c.advanceMACLocked(job)
	case job.next == job.end && len(job.todo) == 0:
		mac, whole = job.mac.Sum(), true
		delete(co.jobs, job.chunk)
		c.settleMACLocked(co, job.chunk, mac)
	default:
		c.advanceMACLocked(job)
	}
	retired := c.releaseLocked(co)
	if whole || retired != nil {
		c.mu.Unlock()
		if whole {
			co.entry.saveMAC(job.chunk, mac)
			co.save()
		}
		retired.retire()
		c.mu.Lock()
	}
}

// foldTogether takes the units of several jobs into their MACs: the first of each together, then the second, …
func (co *content) foldTogether(work []macWork) {
	var (
		ws   [macTogether]*megacrypto.MACWriter
		data [macTogether][]byte
		lent [macTogether]*[UnitSize]byte // for units on disk
	)
	for k := 0; ; k++ {
		n := 0
		for i := range work {
			w := &work[i]
			if !w.ok || k >= len(w.todo) {
				continue
			}
			if data[n], w.ok = co.plainOf(w.todo[k], &lent[n]); w.ok {
				ws[n] = w.job.mac
				n++
			}
		}
		if n == 0 {
			break
		}
		megacrypto.AdvanceMACs(ws[:n], data[:n])
	}
	for _, buf := range lent {
		if buf != nil {
			scratch.Put(buf)
		}
	}
}

// plainOf gives the plaintext of a unit; one on disk is read to lent, which is borrowed from scratch.
func (co *content) plainOf(u macUnit, lent **[UnitSize]byte) ([]byte, bool) {
	if u.mem != nil {
		return u.mem.buf, true
	}
	if *lent == nil {
		*lent = scratch.Get().(*[UnitSize]byte)
	}
	b := (*lent)[:unitLen(u.index, co.size)]
	if _, err := co.entry.read(stretchOf(u.index, b)); err != nil {
		return nil, false
	}
	co.cipher.XORKeyStreamAt(b, b, u.index*UnitSize)
	return b, true
}

func (c *Cache) unpinMACLocked(todo []macUnit) {
	for _, u := range todo {
		if u.mem != nil {
			c.mem.hashing--
			c.mem.unpin(u.mem)
		}
	}
}

// dropJobsLocked gives up the MACs of a content whose bytes go.
func (co *content) dropJobsLocked() {
	for chunk, job := range co.jobs {
		delete(co.jobs, chunk)
		job.dropped = true
		co.c.unpinMACLocked(job.todo)
		job.todo = nil
	}
}

var scratch = sync.Pool{New: func() any { return new([UnitSize]byte) }}
