package cache

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// Free space is looked at this often, in time and in bytes written.
const (
	lookEvery = time.Second
	lookBytes = 16 << 20
)

// spacious tells whether the disk has n bytes above the floor, after eviction if need be.
func (s *store) spacious(n int64) bool {
	now := time.Now()
	s.mu.Lock()
	s.since += n
	due := now.Sub(s.looked) >= lookEvery || s.since >= lookBytes
	if due {
		s.looked, s.since = now, 0
	}
	paused := s.paused
	s.mu.Unlock()
	if !due {
		return !paused
	}
	free, ok := s.free()
	if !ok {
		return false
	}
	if want := s.floor + s.margin - free; want > 0 {
		s.freeBytes(want)
		if free, ok = s.free(); !ok {
			return false
		}
	}
	s.setPaused(free < s.floor+n)
	return free >= s.floor+n
}

// free asks the disk. A folder that is gone ends the disk level.
func (s *store) free() (int64, bool) {
	var fs unix.Statfs_t
	if err := unix.Statfs(s.dir, &fs); err != nil {
		s.failed(err)
		return 0, false
	}
	return int64(fs.Bavail) * fs.Bsize, true
}

// setPaused stops or resumes storing. It is said once, however often a disk fills up.
func (s *store) setPaused(now bool) {
	s.mu.Lock()
	tell := now && !s.told
	s.told = s.told || now
	s.paused = now
	s.mu.Unlock()
	if tell {
		s.log.Warn("the disk of the cache folder is full: nothing more is kept on it until there is room")
	}
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
		at, _, ok := s.lru.GetOldest()
		ok = ok && s.off == nil && more()
		s.mu.Unlock()
		if !ok {
			return
		}
		s.evict(at)
	}
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
	e, _ := s.openFile(at.name)
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

// list finds out what earlier runs left, oldest first. What is used meanwhile stays the youngest.
func (s *store) list() {
	defer close(s.listed)
	files, err := os.ReadDir(s.dir)
	if err != nil {
		s.failed(err)
		return
	}
	found := make([]leftover, 0, len(files))
	for _, f := range files {
		select {
		case <-s.stop:
			return
		default:
		}
		if l, ok := s.look(f.Name()); ok {
			found = append(found, l)
		}
	}
	slices.SortFunc(found, func(a, b leftover) int { return a.used.Compare(b.used) })
	s.mu.Lock()
	defer s.mu.Unlock()
	young := s.lru.Keys()
	for _, l := range found {
		s.addLeftoverLocked(l)
	}
	for _, k := range young {
		s.lru.Get(k)
	}
}

// leftover is a content file that an earlier run left.
type leftover struct {
	name  id
	used  time.Time
	bytes []int64 // of each span
}

// addLeftoverLocked counts a file, unless somebody opened it meanwhile.
func (s *store) addLeftoverLocked(l leftover) {
	if s.entries[l.name] != nil {
		return
	}
	for i, n := range l.bytes {
		at := span{l.name, int64(i)}
		if n > 0 && !s.lru.Contains(at) {
			s.lru.Add(at, n)
			s.used += n
		}
	}
}

// look examines one file of the folder. What was never a content file of ours goes.
func (s *store) look(name string) (leftover, bool) {
	path := filepath.Join(s.dir, name)
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return leftover{}, false
	}
	l := leftover{used: st.ModTime()}
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != len(l.name) {
		return leftover{}, false // not ours to touch
	}
	copy(l.name[:], b)
	if st.Size() <= spanUnits*UnitSize {
		l.bytes = []int64{st.Sys().(*syscall.Stat_t).Blocks * 512}
		return l, true
	}
	l.bytes = s.readSpans(l.name)
	return l, len(l.bytes) > 0
}

// readSpans tells what each span of a large file takes, which only its index knows.
func (s *store) readSpans(name id) []int64 {
	s.names.Lock()
	defer s.names.Unlock()
	s.mu.Lock()
	known := s.entries[name] != nil
	s.mu.Unlock()
	if known {
		return nil
	}
	e, _ := s.openFile(name)
	if e == nil {
		return nil
	}
	defer e.f.Close()
	n := make([]int64, spanCount(e.l))
	n[0] = pageSize
	for u := range e.l.units {
		if e.present.has(u) {
			n[u/spanUnits] += s.diskLen(e.l, u)
		}
	}
	return n
}
