package staging

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// Defaults and limits of Options.
const (
	DefaultSegmentSize = 64 << 20
	minSegmentSize     = 4 << 10
	maxSegmentSize     = 1 << 30
	DefaultCacheBytes  = 8 << 20
	defaultOpenFiles   = 128
)

// Options say where a store is and how it behaves.
type Options struct {
	Dir         string             // the folder; made with mode 0700 if it is missing
	Key         [32]byte           // wraps each segment's key
	SegmentSize int64              // bytes after which a new segment begins; 0: DefaultSegmentSize
	CacheBytes  int                // decrypted records kept for small reads; 0: DefaultCacheBytes, below 0: none
	Log         logrus.FieldLogger // nil: silent

	// Barrier, if set, is called before segments are unlinked, holding no lock
	// and by one goroutine at a time. It makes what the caller's database
	// holds durable, so that no row that a power loss brings back names a
	// segment that is gone. An error keeps the segments for a later try.
	Barrier func() error
}

// Store is a folder of segments. It is safe for concurrent use.
//
// LOCK ORDER: appendMu, then mu, then a segment's fileMu. In other words: who
// holds mu may open and close files but never reserves space, and nothing is
// called back, sealed, synced or waited for under mu. syncMu may be taken under
// appendMu, and nothing is taken under it.
type Store struct {
	// Dependencies.
	log     logrus.FieldLogger
	barrier func() error
	fsync   func(*os.File) error                               // fdatasync; tests break it
	write   func(f *os.File, p []byte, off int64) (int, error) // pwrite; tests break it

	// Constant data.
	dir       string
	wrap      cipher.AEAD
	limit     int64 // segment size
	openLimit int
	records   *recordCache

	// Where the next record goes.
	appendMu sync.Mutex
	current  *segment // GUARDED_BY(appendMu); nil until something is appended
	stamp    int64    // GUARDED_BY(appendMu); of the last record
	lastSeg  uint64   // GUARDED_BY(appendMu); the highest number given out

	// What there is.
	mu       sync.Mutex
	segments map[uint64]*segment // GUARDED_BY(mu)
	started  bool                // GUARDED_BY(mu); dead segments may go
	closed   bool                // GUARDED_BY(mu)
	dirDirty bool                // GUARDED_BY(mu); the folder has entries that aren't synced
	live     int64               // GUARDED_BY(mu); sum of the segments' live
	open     int                 // GUARDED_BY(mu); about how many files are open
	reaping  bool                // GUARDED_BY(mu); a reaper is running
	reapMore bool                // GUARDED_BY(mu); something died since it looked

	// Syncing.
	syncMu  sync.Mutex
	next    *syncRound // GUARDED_BY(syncMu); joined by callers, not begun
	syncing bool       // GUARDED_BY(syncMu); a runner is at work
	synced  bool       // GUARDED_BY(syncMu); Close has joined the last round

	rolled chan struct{} // holds a value after a new segment was begun

	tasks sync.WaitGroup // the reaper and the sync runner; Close waits for them
}

// Open opens a store. Segments that are there are kept and never appended to.
// The caller retains every extent that its database holds and then calls
// Started. A segment whose header is damaged doesn't keep the store from
// opening: reading from it gives a *CorruptError. Error: *NewerError.
func Open(o Options) (*Store, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = DefaultSegmentSize
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		o.Log = silent
	}
	if err := makeDir(o.Dir); err != nil {
		return nil, fmt.Errorf("making the staging folder: %w", err)
	}
	s := &Store{
		log: o.Log, barrier: o.Barrier, fsync: fdatasync, write: (*os.File).WriteAt,
		dir: o.Dir, wrap: newWrapper(o.Key),
		limit:     min(max(o.SegmentSize, minSegmentSize), maxSegmentSize),
		openLimit: defaultOpenFiles,
		records:   newRecordCache(o.CacheBytes),
		segments:  make(map[uint64]*segment),
		rolled:    make(chan struct{}, 1),
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// load finds the segments of earlier runs.
func (s *Store) load() error {
	found, err := listSegments(s.dir)
	if err != nil {
		return err
	}
	s.stamp = time.Now().UnixNano()
	for _, f := range found {
		seg := &segment{id: f.id, path: filepath.Join(s.dir, segmentName(f.id)), disk: f.size}
		seg.gcm, seg.bad = readHeader(seg.path, seg.id, s.wrap)
		var newer *NewerError
		if errors.As(seg.bad, &newer) {
			return seg.bad
		}
		if seg.bad != nil {
			s.log.WithField("segment", segmentName(f.id)).WithError(seg.bad).Warn("staging: a segment can't be read")
		}
		s.segments[f.id] = seg
		s.lastSeg = max(s.lastSeg, f.id)
		s.stamp = max(s.stamp, f.mtime) // also when the clock was set back
	}
	return nil
}

// rollLocked makes a new current segment. The number is above all others and
// doesn't come back in a later run, since extents with it may still be
// somewhere.
func (s *Store) rollLocked() error {
	id := max(s.lastSeg+1, uint64(time.Now().Unix())<<32) + uint64(randomUint32()>>1)
	if id <= s.lastSeg {
		return fmt.Errorf("segment numbers are used up at %016x", s.lastSeg)
	}
	seg, err := createSegment(s.dir, id, s.wrap)
	if err != nil {
		return err
	}
	s.lastSeg = id
	old := s.current
	s.current = seg
	if !s.enrol(seg, old) {
		s.current = nil
		seg.discard()
		return ErrClosed
	}
	if old != nil {
		// It is full: let the disk begin now, not at the next Sync. Nobody
		// waits here; what fails is tried again by the next round.
		s.joinRound(false)
	}
	return nil
}

// enrol puts a new current segment in the place of the old one, which may be
// nil; not in a closed store.
func (s *Store) enrol(seg, old *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	seg.current = true
	s.segments[seg.id] = seg
	s.dirDirty = true
	s.open++
	if old != nil {
		old.current = false
		s.reapLocked(old)
	}
	s.closeIdleLocked()
	select {
	case s.rolled <- struct{}{}:
	default: // it has one
	}
	return true
}

// Close syncs, ends the store's goroutines and closes the files. Calls that
// are under way are let finish; later ones get ErrClosed.
func (s *Store) Close() error {
	s.appendMu.Lock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.appendMu.Unlock()
		return nil
	}
	if s.current != nil {
		s.current.current = false
		s.reapLocked(s.current)
		s.current = nil
	}
	s.closed = true
	s.mu.Unlock()
	s.appendMu.Unlock()

	round := s.joinRound(true)
	<-round.done
	s.tasks.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := round.err
	for _, seg := range s.segments {
		if seg.users == 0 {
			err = errors.Join(err, seg.closeFile())
		}
	}
	return err
}
