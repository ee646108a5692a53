package cache

import (
	"runtime"
	"sync"

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

// arrivedLocked is told of each unit that becomes readable. What came from the network must be checked,
// what came from disk only if its chunk never was.
func (c *Cache) arrivedLocked(co *content, u int64, network bool) {
	chunk := chunkOf(u)
	if network {
		co.fresh.set(int64(chunk))
	} else if co.known.has(int64(chunk)) && !co.fresh.has(int64(chunk)) {
		return
	}
	job := co.jobs[chunk]
	if job == nil {
		job = &macJob{co: co, chunk: chunk, mac: co.cipher.NewMAC()}
		job.first, job.end = chunkUnits(chunk, co.size)
		job.next = job.first
		co.jobs[chunk] = job
	}
	if network && u < job.next {
		job.again = true
	}
	c.advanceMACLocked(job)
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
		c.stepMACLocked(job)
	}
	c.macers--
}

// stepMACLocked works on a job, with c.mu free meanwhile.
func (c *Cache) stepMACLocked(job *macJob) {
	co, todo := job.co, job.todo
	job.todo = nil
	ok := !c.closed
	c.mu.Unlock()
	for _, u := range todo {
		ok = ok && job.fold(u)
	}
	c.mu.Lock()
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
		}
		retired.retire()
		c.mu.Lock()
	}
}

// fold takes one unit into the MAC. It fails if the disk has lost it.
func (j *macJob) fold(u macUnit) bool {
	if u.mem != nil {
		_, _ = j.mac.Write(u.mem.buf)
		return true
	}
	return j.co.withStored(u.index, func(plain []byte) { _, _ = j.mac.Write(plain) })
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
