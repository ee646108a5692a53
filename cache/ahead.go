package cache

import "context"

// Fetching ahead of files rather than in them: somebody who sees that a program goes through a folder says
// which files come next. Small ones are then fetched whole and verified, many at once, so that the round
// trips of one file are those of dozens.

const (
	aheadFiles = 32 // small files that are fetched ahead at once
	aheadQueue = 256
)

// Prefetch says that these files are likely to be read next, the most likely first. It returns at once.
// Those that are small and not here yet are fetched, as far as memory, and what may be wasted, allow;
// Options.Prepare is told of all of them first.
func (c *Cache) Prefetch(files []File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	budget := c.budgetLocked() - int64(len(c.aheadNext))*UnitSize/4
	var next []File
	for _, f := range files {
		if f.Size <= 0 || f.Size > smallSize {
			continue
		}
		if budget -= f.Size; budget < 0 || len(c.aheadNext)+len(next) >= aheadQueue {
			break
		}
		next = append(next, f)
	}
	if len(next) > 0 {
		c.goLocked(func() { c.prepare(next) })
	}
}

// prepare makes ready what is missing of the files, and has it fetched.
func (c *Cache) prepare(files []File) {
	missing := files[:0]
	for _, f := range files {
		if !c.hasWhole(f) {
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

// hasWhole tells whether all of a small file is here, without keeping anything of it.
func (c *Cache) hasWhole(f File) bool {
	co := c.hold(f)
	defer c.release(co)
	c.mu.Lock()
	defer c.mu.Unlock()
	return !co.lacksLocked()
}

// lacksLocked tells whether there is something to fetch of a small file that nobody is fetching.
func (co *content) lacksLocked() bool {
	if co.quarantined || co.small != nil || co.c.closed {
		return false
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
		if c.budgetLocked() < f.Size || !c.spareLocked(int(unitEnd(f.Size))) {
			continue
		}
		c.mu.Unlock()
		c.fetchSmall(f)
		c.mu.Lock()
	}
	c.aheadBusy--
}

// fetchSmall brings in one small file that nobody has asked for yet.
func (c *Cache) fetchSmall(f File) {
	co := c.hold(f)
	c.mu.Lock()
	var s *smallFetch
	if co.lacksLocked() {
		s = c.smallLocked(co, f)
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
