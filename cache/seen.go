package cache

// What was served of a file before it was verified is remembered, so that it need not be kept: a unit may leave memory
// and disk before its chunk's MAC is computed, and another server's bytes may come in its place. A MAC over these says
// nothing of what a program has had. So each unit that comes leaves a mark, a keyed checksum, and what comes again is
// compared with it before anybody sees it. Then the verdict on the file is one on everything that was served of it.
//
// A mark is eight bytes for 128 KiB: 320 KB for a file of 5 GB, for as long as the cache knows the file.

// mark is the beginning of a unit's keyed checksum, which nobody can foresee; 0: none.
type mark uint64

// head is a part of a unit that was served, mostly its beginning, when the rest did not come.
type head struct {
	from, to int
	sum      mark // of its plaintext
}

// seen is what came of a content since the cache knows it.
//
// INVARIANT: count is the number of units in came; a unit with a mark is in came
type seen struct {
	came  bitmap
	count int64
	marks [][]mark         // markBlock units each; nil: none of these has one
	heads map[int64][]head // of units that never became whole
}

const markBlock = 512

// take notes a unit that has come whole.
func (s *seen) take(u, units int64, m mark) {
	if s.came == nil {
		s.came = newBitmap(units)
		s.marks = make([][]mark, (units+markBlock-1)/markBlock)
	}
	if !s.came.has(u) {
		s.came.set(u)
		s.count++
	}
	if m == 0 {
		return
	}
	b := &s.marks[u/markBlock]
	if *b == nil {
		*b = make([]mark, min(markBlock, units-u/markBlock*markBlock))
	}
	(*b)[u%markBlock] = m
}

// mark is that of a unit.
func (s *seen) mark(u int64) mark {
	if s.marks == nil || s.marks[u/markBlock] == nil {
		return 0
	}
	return s.marks[u/markBlock][u%markBlock]
}

// before tells whether something of a unit was served that it must be compared with when it comes again.
func (s *seen) before(u int64) bool { return s.mark(u) != 0 || len(s.heads[u]) > 0 }

// addHead notes that a part of a unit was served.
func (s *seen) addHead(u int64, h head) {
	if s.heads == nil {
		s.heads = map[int64][]head{}
	}
	s.heads[u] = append(s.heads[u], h)
}

// showLocked notes that bytes of a unit are being served, up to n.
func (c *Cache) showLocked(u *unit, n int) {
	if u.shown = max(u.shown, n); u.err != nil {
		c.beheadLocked(u)
	}
}

// beheadLocked keeps the checksum of what was served of a unit that won't become whole.
func (c *Cache) beheadLocked(u *unit) {
	if u.shown > u.from {
		u.co.seen.addHead(u.index, head{u.from, u.shown, c.sums.head(u.co.id, u.index, u.buf[u.from:u.shown])})
	}
}

// fitsLocked compares what has come of a unit with what was served of it before, as soon as enough has; from then on it
// may be seen. m is the mark of a unit that is whole, 0 before.
func (c *Cache) fitsLocked(u *unit, m mark) bool {
	s := &u.co.seen
	if was := s.mark(u.index); was != 0 && was != m {
		return m == 0
	}
	heads := s.heads[u.index]
	for _, h := range heads {
		if h.to > u.got {
			return true
		}
	}
	for _, h := range heads {
		if c.sums.head(u.co.id, u.index, u.buf[h.from:h.to]) != h.sum {
			return false
		}
	}
	delete(s.heads, u.index)
	u.again = false
	return true
}
