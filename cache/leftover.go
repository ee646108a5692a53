package cache

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

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
	e, _, _ := s.openFile(name)
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
