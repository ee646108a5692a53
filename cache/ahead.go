package cache

import "context"

// Fetching ahead of files rather than in them: somebody who sees that a program goes through a folder says
// which files come next. Small ones are then fetched whole and verified, many at once, so that the round
// trips of one file are those of dozens. Of larger ones the first KiB are (beginning.go).

const (
	aheadFiles = 32 // files that are fetched ahead at once
	aheadQueue = 256
)

// Prefetch says that these files are likely to be read next, the most likely first. It returns at once.
// What is not here yet of them is fetched, of large ones their first KiB, as far as memory, and what may be wasted, allow;
// Options.Prepare is told of all of them first.
func (c *Cache) Prefetch(files []File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	budget := c.budgetLocked() - int64(len(c.aheadNext))*UnitSize/4
	var next []File
	for _, f := range files {
		n := c.aheadLen(f)
		if n == 0 {
			continue
		}
		if budget -= n; budget < 0 || len(c.aheadNext)+len(next) >= aheadQueue {
			break
		}
		next = append(next, f)
	}
	if len(next) > 0 {
		c.goLocked(func() { c.prepare(next) })
	}
}

// aheadLen is how many of a file's first bytes are fetched ahead. Of large ones that are verified before anything of them
// is served it is none: what is fetched of these is fetched whole.
func (c *Cache) aheadLen(f File) int64 {
	switch {
	case f.Size <= smallSize:
		return max(0, f.Size)
	case c.strict:
		return 0
	}
	return beginningLen
}

// prepare makes ready what is missing of the files, and has it fetched.
func (c *Cache) prepare(files []File) {
	missing := files[:0]
	for _, f := range files {
		if c.lacks(f) {
			missing = append(missing, f)
		}
	}
	if len(missing) == 0 {
		return
	}
	if c.prepareFiles != nil {
		c.prepareFiles(c.ctx, missing)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aheadNext = append(c.aheadNext, missing...)
	for c.aheadBusy < aheadFiles && c.aheadBusy < len(c.aheadNext) && c.goLocked(c.fetchAhead) {
		c.aheadBusy++
	}
}

// lacks tells whether there is something to fetch ahead of a file, without keeping anything of it.
func (c *Cache) lacks(f File) bool {
	co := c.hold(f)
	defer c.release(co)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lacksLocked(co)
}

// lacksLocked tells whether there is something to fetch ahead of a file that nobody is fetching.
func (c *Cache) lacksLocked(co *content) bool {
	if co.quarantined || co.small != nil || c.closed {
		return false
	}
	if co.size > smallSize {
		return !co.suspect && co.units[0] == nil && !co.entry.has(0) && !c.beginnings.Contains(co.id)
	}
	for u := range unitEnd(co.size) {
		if !co.haveLocked(u) {
			return true
		}
	}
	return false
}

// fetchAhead fetches one file after the other until none is left.
func (c *Cache) fetchAhead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.aheadNext) > 0 && !c.closed {
		f := c.aheadNext[0]
		c.aheadNext = c.aheadNext[1:]
		n := c.aheadLen(f)
		if c.budgetLocked() < n || !c.spareLocked(int(unitEnd(n))) {
			continue
		}
		c.mu.Unlock()
		if f.Size <= smallSize {
			c.fetchSmall(f)
		} else {
			c.fetchBeginning(f)
		}
		c.mu.Lock()
	}
	c.aheadBusy--
}

// fetchSmall brings in one small file that nobody has asked for yet.
func (c *Cache) fetchSmall(f File) {
	co := c.hold(f)
	c.mu.Lock()
	var s *smallFetch
	if c.lacksLocked(co) {
		s = c.smallLocked(co, f, later())
		s.ahead = s.waiting == 0
	}
	c.mu.Unlock()
	if s != nil {
		<-s.done
	}
	c.release(co)
}

// PrepareFunc is told of files that are about to be fetched, so that it can do for all at once what has to
// be done for each; see Options.Prepare.
type PrepareFunc func(ctx context.Context, files []File)
