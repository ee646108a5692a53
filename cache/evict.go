package cache

import (
	"os"
)

// spanUnits is what is evicted at once: 8 MiB.
const spanUnits = 64

// span is a stretch of a content's file.
type span struct {
	name  id
	index int64
}

func spanOf(name id, u int64) span { return span{name, u / spanUnits} }

func spanCount(l layout) int64 { return (l.units + spanUnits - 1) / spanUnits }

// diskLen is what unit u takes on disk, its record's share included.
func (s *store) diskLen(l layout, u int64) int64 {
	return roundUp(int64(unitLen(u, l.size)), pageSize) + unitRecord
}

func (s *store) growLocked(at span, n int64) {
	have, ok := s.lru.Get(at)
	if !ok && at.index == 0 {
		n += pageSize // the file's own: its index
	}
	s.lru.Add(at, have+n)
	s.used += n
}

func (s *store) shrinkLocked(at span, n int64) {
	if have, ok := s.lru.Peek(at); ok {
		s.lru.Add(at, max(0, have-n))
		s.used -= min(n, have)
	}
}

// dropSpansLocked forgets what is counted for an entry's file.
func (s *store) dropSpansLocked(e *entry) {
	for i := range spanCount(e.l) {
		s.dropSpanLocked(span{e.name, i})
	}
}

func (s *store) dropSpanLocked(at span) (n int64) {
	n, _ = s.lru.Peek(at)
	s.lru.Remove(at)
	s.used -= n
	return n
}

// admit makes room for n bytes and counts them, or says that there is none. settle must follow.
func (s *store) admit(n int64) bool {
	if !s.on() || !s.spacious(n) {
		return false
	}
	s.mu.Lock()
	s.used += n
	over := s.limit > 0 && s.used > s.limit
	s.mu.Unlock()
	if over {
		s.makeRoom(func() bool { return s.used > s.limit-s.limit/64 })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off != nil || s.limit > 0 && s.used > s.limit {
		s.used -= n
		return false
	}
	return true
}

// settle takes back what admit counted: what was stored is counted by its span.
func (s *store) settle(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
}

// freeBytes evicts at least n bytes, if there are as many.
func (s *store) freeBytes(n int64) (freed int64) {
	s.mu.Lock()
	start := s.evicted
	s.mu.Unlock()
	s.makeRoom(func() bool { return s.evicted < start+n })
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.evicted - start
}

// makeRoom evicts the least recently used while more says so, which is asked under mu.
func (s *store) makeRoom(more func() bool) {
	s.evicting.Lock()
	defer s.evicting.Unlock()
	for {
		s.mu.Lock()
		at, ok := s.oldestLocked()
		ok = ok && s.off == nil && more()
		s.mu.Unlock()
		if !ok {
			return
		}
		s.evict(at)
	}
}

// oldestLocked gives the span that is to go next. Pinned ones count as just used.
func (s *store) oldestLocked() (span, bool) {
	for range s.lru.Len() {
		at, _, _ := s.lru.GetOldest()
		if !s.isPinnedLocked(at) {
			return at, true
		}
		s.lru.Get(at)
	}
	return span{}, false
}

// evict takes one span off the disk; the file with its last one.
func (s *store) evict(at span) {
	e, ok := s.borrow(at)
	if !ok {
		return
	}
	defer s.close(e)
	first := at.index * spanUnits
	end := min(first+spanUnits, e.l.units)
	e.io.Lock()
	s.mu.Lock()
	for u := first; u < end; u++ {
		if e.present.has(u) {
			e.present.unset(u)
			e.count--
		}
	}
	s.evicted += s.dropSpanLocked(at)
	s.mu.Unlock()
	err := e.punchLocked(first, end)
	e.io.Unlock()
	if err != nil {
		s.abandonFile(e, err)
	}
}

// abandonFile empties a file into which no hole can be punched.
func (s *store) abandonFile(e *entry, err error) {
	s.mu.Lock()
	before := s.used
	s.mu.Unlock()
	e.forget()
	e.scrub()
	s.mu.Lock()
	s.evicted += max(0, before-s.used)
	s.mu.Unlock()
	s.log.WithError(err).Debug("no hole could be punched into a cache file: it was emptied")
}

// borrow gives the entry of a span, opening its file if nobody uses it.
func (s *store) borrow(at span) (*entry, bool) {
	s.names.Lock()
	defer s.names.Unlock()
	if e := s.reuse(at.name); e != nil {
		return e, true
	}
	e, _, _ := s.openFile(at.name)
	if e == nil {
		s.removeStray(at)
		return nil, false
	}
	s.mu.Lock()
	e.refs++
	s.entries[at.name] = e
	s.mu.Unlock()
	return e, true
}

// removeStray takes away a file that isn't what its name says, and all that is counted for it.
func (s *store) removeStray(at span) {
	_ = os.Remove(s.path(at.name))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.lru.Keys() {
		if k.name == at.name {
			s.evicted += s.dropSpanLocked(k)
		}
	}
}
