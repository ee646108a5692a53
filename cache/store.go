package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// store is the disk level: a folder of content files. Whatever goes wrong with it, reads go on without.
// A nil store has nothing.
type store struct {
	// Dependencies and constant data.
	root   string // Options.Dir
	dir    string // of this format
	sums   *sums
	log    logrus.FieldLogger
	limit  int64 // bytes; 0: none
	floor  int64 // bytes left free; 0: none
	margin int64 // bytes that are made free beyond the floor, so that it isn't asked at each unit
	lock   *os.File
	stop   chan struct{} // closed by shut
	listed chan struct{} // closed when what earlier runs left is known

	// names is held while a file is opened, closed or removed by name. Before entry.io.
	names sync.Mutex
	// evicting is held by the one who makes room. Before names.
	evicting sync.Mutex

	mu sync.Mutex // the last of all: nothing is locked while it is held

	// GUARDED_BY(mu).
	entries map[id]*entry
	lru     *simplelru.LRU[span, int64] // bytes on disk, least recently used first
	pinned  map[id]bool                 // contents that are not evicted
	used    int64                       // bytes: all of lru, and what is being written
	evicted int64                       // since open
	off     error                       // why there is no disk level any more
	told    bool                        // that the disk is full
	paused  bool                        // free space is below the floor, and there is nothing to evict
	looked  time.Time                   // at the free space
	since   int64                       // bytes admitted after that
}

// openStore makes the disk level. One that can't be used is off from the start.
func openStore(o Options, sums *sums) *store {
	lru, err := simplelru.NewLRU[span, int64](1<<62, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	s := &store{
		root: o.Dir, dir: filepath.Join(o.Dir, formatDir), sums: sums, log: o.Log,
		stop: make(chan struct{}), listed: make(chan struct{}),
		entries: map[id]*entry{}, lru: lru, pinned: map[id]bool{},
	}
	if err := s.prepare(o); err != nil {
		s.end(err)
		close(s.listed)
		return s
	}
	go s.list()
	return s
}

// prepare makes the folder, takes its lock and finds out about the disk.
func (s *store) prepare(o Options) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(s.root, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return fmt.Errorf("another process uses the cache folder: %w", err)
	}
	s.lock = lock
	var fs unix.Statfs_t
	if err := unix.Statfs(s.dir, &fs); err != nil {
		return err
	}
	total := int64(fs.Blocks) * fs.Bsize
	s.margin = min(lookBytes, total/64)
	s.limit = orDefault(o.DiskLimit, 10<<30, total/10)
	s.floor = orDefault(o.DiskFloor, 1<<30, total/20)
	return nil
}

// orDefault reads an option: negative is none, zero the lesser of the defaults.
func orDefault(n, most, share int64) int64 {
	switch {
	case n < 0:
		return 0
	case n == 0:
		return max(1, min(most, share))
	}
	return n
}

func (s *store) path(name id) string { return filepath.Join(s.dir, name.String()) }

// on tells whether there is a disk level.
func (s *store) on() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.off == nil
}

// failed is told of every error. No room is a matter of time, and so are too many open files; anything else ends the
// disk level.
func (s *store) failed(err error) {
	switch {
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		s.setPaused(true)
	case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
		// This content goes without.
	default:
		s.end(err)
	}
}

// end goes on without the disk level.
func (s *store) end(err error) {
	s.mu.Lock()
	first := s.off == nil
	if first {
		s.off = err
	}
	s.mu.Unlock()
	if first {
		s.log.WithError(err).Warn("the cache folder can't be used: going on without a cache on disk")
	}
}

// open gives the entry of a content, with what its file knows. It is nil when there is no disk level.
// A file of another size or MAC under this name is another content's, and is emptied.
func (s *store) open(name id, size int64, tag [16]byte) (*entry, saved) {
	s.names.Lock()
	defer s.names.Unlock()
	if !s.on() {
		return nil, saved{}
	}
	if e := s.reuse(name); e != nil {
		return s.share(e, size, tag)
	}
	e, known, err := s.openFile(name)
	if err != nil {
		return nil, saved{}
	}
	foreign := e != nil && !e.holds(size, tag)
	if foreign {
		_ = e.f.Close()
		_ = os.Remove(s.path(name))
	}
	if e == nil || foreign {
		e, known = &entry{s: s, name: name, l: layoutOf(size)}, saved{}
		e.present = newBitmap(e.l.units)
	}
	if tag != ([16]byte{}) {
		e.tag = tag
	}
	s.register(e)
	return e, known
}

// holds tells whether an entry may be the content's of this size and MAC.
func (e *entry) holds(size int64, tag [16]byte) bool {
	none := [16]byte{}
	return e.l.size == size && (tag == none || e.tag == none || e.tag == tag)
}

// share gives an entry that is open already, while it is being evicted or closed.
func (s *store) share(e *entry, size int64, tag [16]byte) (*entry, saved) {
	e.io.RLock()
	defer e.io.RUnlock()
	s.mu.Lock()
	known := saved{flags: e.flags}
	ok := e.holds(size, tag) && !e.stale
	if !ok {
		e.refs--
	}
	s.mu.Unlock()
	if !ok {
		return nil, saved{} // this content does without, until it is opened again
	}
	if e.f != nil {
		known.macs, _ = e.loadMACs()
	}
	return e, known
}

// reuse gives an entry that is open, with one more reference.
func (s *store) reuse(name id) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[name]
	if e != nil {
		e.refs++
	}
	return e
}

// register makes an entry known, with one reference, and its spans' sizes exact.
func (s *store) register(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.refs++
	s.entries[e.name] = e
	s.dropSpansLocked(e)
	for u := range e.l.units {
		if e.present.has(u) {
			s.growLocked(spanOf(e.name, u), s.diskLen(e.l, u))
		}
	}
}

// close lets go of an entry.
func (s *store) close(e *entry) {
	s.names.Lock()
	defer s.names.Unlock()
	s.mu.Lock()
	e.refs--
	last := e.refs == 0
	if last {
		delete(s.entries, e.name)
	}
	s.mu.Unlock()
	if last {
		s.finish(e)
	}
}

// finish closes an entry's file, and removes it when there is nothing in it. names is held.
func (s *store) finish(e *entry) {
	e.scrub()
	e.io.Lock()
	defer e.io.Unlock()
	if e.f == nil {
		return
	}
	s.mu.Lock()
	empty := e.count == 0 && e.flags&flagsAlone == 0
	s.mu.Unlock()
	if empty {
		_ = os.Remove(s.path(e.name))
	}
	_ = e.f.Close()
	if e.direct != nil {
		_ = e.direct.Close()
	}
	e.f, e.direct, e.tried = nil, nil, false
}

// shut ends the disk level with the cache; what is on disk stays for the next one.
func (s *store) shut() error {
	if s == nil {
		return nil
	}
	close(s.stop)
	<-s.listed
	s.names.Lock()
	defer s.names.Unlock()
	s.mu.Lock()
	entries := s.entries
	s.entries = map[id]*entry{}
	if s.off == nil {
		s.off = ErrClosed
	}
	s.mu.Unlock()
	for _, e := range entries {
		s.finish(e)
	}
	if s.lock != nil {
		// Closing alone would leave it with a program that is just being started.
		return errors.Join(unix.Flock(int(s.lock.Fd()), unix.LOCK_UN), s.lock.Close())
	}
	return nil
}

// addStats puts in the disk's figures.
func (s *store) addStats(st *Stats) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.DiskUsed, st.DiskLimit, st.Evicted = s.used, s.limit, s.evicted
	st.DiskPaused = s.paused
	if s.off != nil {
		st.DiskOff = s.off.Error()
	}
}
