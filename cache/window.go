package cache

// How read-ahead decides, as pure values: offsets in, a range to fetch out. What is done with the
// answer is the reader's business.

const (
	windowMin = 256 << 10 // the first window of a stream
	windowMax = 32 << 20  // no stream looks further ahead
	// windowEager is how wide a window grows without anybody having had to wait.
	windowEager = 1 << 20
	partMin     = 1 << 20 // windows are fetched in parallel parts of this length …
	partMax     = 2 << 20 // … which grow to this one in the widest windows
	partsMax    = 16      // parts that one reader has in flight ahead of what it reads

	// reorder is how far a read may be out of order and still belong to a stream: the kernel sends the
	// requests of its own read-ahead at once, and they are taken up in any order.
	reorder = 1 << 20
	// forget halves a stream's history once it spans this much, so that recent reads count.
	forget = 4 << 20
	// idleReads is how many reads elsewhere end a stream.
	idleReads = 16
	// streamsMax streams are told apart in one open file (two players, a demuxer with two tracks).
	streamsMax = 4
)

// stream is one run of reads that may be sequential. Its zero value is unused.
type stream struct {
	start, pos int64  // the bytes that the run spans
	read       int64  // how many of them were asked for; fewer than half: not sequential
	hits       int    // reads that took it further
	ahead      int64  // up to here everything is fetched or under way
	mark       int64  // a read beyond here reached what was fetched ahead last: time for more
	window     int64  // how far to look ahead; 0: not known to be sequential
	starved    bool   // a read had to wait since the window was set: a wider one would have helped
	age        uint64 // when it was used last
}

// dense tells whether most of what the run spans was asked for.
func (s *stream) dense() bool { return 2*s.read >= s.pos-s.start }

// continues tells whether a read at off belongs to the run.
func (s *stream) continues(off int64) bool {
	return s.age > 0 && off >= max(s.start, s.pos-reorder) && off <= s.pos+reorder
}

// add takes a read of [off, end) into the run.
func (s *stream) add(off, end int64) {
	if end > s.pos {
		s.hits++
		s.pos = end
	}
	s.read = min(s.read+end-off, s.pos-s.start)
	if span := s.pos - s.start; span > forget {
		s.start += span / 2
		s.read /= 2
	}
}

// advice is what a read means for what should be fetched.
type advice struct {
	From, To int64 // bytes to fetch ahead of the read; none when equal
	Part     int64 // in parts of this length
	Jumped   bool  // a stream ended: what was fetched ahead for it may be cancelled
}

// partUnits is the length of a part in units.
func (a advice) partUnits() int { return int(max(a.Part, partMin) / UnitSize) }

// streams is the read-ahead state of one open file.
type streams struct {
	s     [streamsMax]stream
	clock uint64
	last  int // the stream of the last read
}

// next takes a read of [off, end) in a file of the given size, end > off, and says what to fetch ahead
// if a window may be limit bytes wide. [streams.settle] must follow before the next call.
func (t *streams) next(off, end, size, limit int64) advice {
	t.clock++
	t.last = t.find(off)
	s := &t.s[t.last]
	known := s.continues(off)
	if known {
		s.age = t.clock
		s.add(off, end)
		known = s.dense()
	}
	var a advice
	switch {
	case known && (s.window > 0 || s.hits > 0):
		a = s.extend(size, limit)
	case known: // the same bytes again
	default:
		a.Jumped = s.window > 0
		*s = stream{start: off, pos: end, read: end - off, age: t.clock}
	}
	a.Jumped = t.retire() || a.Jumped
	return a
}

// retire ends streams that were not read from lately, and tells whether there was one.
func (t *streams) retire() (ended bool) {
	for i := range t.s {
		if s := &t.s[i]; s.window > 0 && t.clock-s.age > idleReads {
			*s = stream{}
			ended = true
		}
	}
	return ended
}

// extend looks further ahead when it is time: while the window still grows, whenever the run comes to
// what was fetched last, so that no more than about twice what was read is fetched; later whenever there
// is room for another part, so that the fetches never run dry.
func (s *stream) extend(size, limit int64) advice {
	widest := min(windowMax, limit)
	if widest < windowMin {
		return advice{}
	}
	s.window = min(max(s.window, windowMin), widest)
	part := min(max(s.window/partsMax, partMin), partMax)
	due := s.pos > s.mark
	if s.window == widest {
		due = s.ahead-s.pos <= max(s.window-part, s.window/2)
	}
	from := max(s.ahead, s.pos)
	to := min(unitEnd(s.pos+s.window)*UnitSize, size)
	if !due || from >= to {
		return advice{}
	}
	return advice{From: from, To: to, Part: part}
}

// starve notes that the last read had to wait for bytes that were on their way.
func (t *streams) starve() { t.s[t.last].starved = true }

// settle tells that everything up to done, of what the last advice named, is fetched or under way. The
// window grows only for a stream that has to wait: a film that is played needs none as wide as a copy.
func (t *streams) settle(a advice, done int64) {
	if a.From == a.To {
		return
	}
	s := &t.s[t.last]
	s.ahead = max(s.ahead, done)
	if done >= a.To {
		s.mark = a.From
		if s.starved || s.window < windowEager {
			s.window = min(2*s.window, windowMax)
		}
		s.starved = false
	}
}

// skip takes the run of the last read over [off, end), which was fetched ahead for it and need not be read any more.
func (t *streams) skip(off, end int64) {
	if s := &t.s[t.last]; s.continues(off) && s.ahead >= end {
		s.pos = max(s.pos, end)
		s.read += end - off
	}
}

// find gives the stream that a read at off continues, the nearest of several, or the one to replace.
func (t *streams) find(off int64) int {
	best, oldest := -1, 0
	for i := range t.s {
		s := &t.s[i]
		if s.continues(off) && (best < 0 || distance(s.pos, off) < distance(t.s[best].pos, off)) {
			best = i
		}
		if s.age < t.s[oldest].age {
			oldest = i
		}
	}
	if best >= 0 {
		return best
	}
	return oldest
}

// wants tells whether any stream has [from, to) in its window.
func (t *streams) wants(from, to int64) bool {
	for i := range t.s {
		s := &t.s[i]
		if s.window > 0 && from < s.ahead && to > s.pos-reorder {
			return true
		}
	}
	return false
}

// active tells whether any stream looks ahead.
func (t *streams) active() bool {
	for i := range t.s {
		if t.s[i].window > 0 {
			return true
		}
	}
	return false
}

// running tells whether the last read took a run further.
func (t *streams) running() bool { return t.s[t.last].hits > 0 && t.s[t.last].dense() }

func distance(a, b int64) int64 { return max(a-b, b-a) }
