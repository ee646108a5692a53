package staging

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Retain counts one more reference to each extent. Only what is referred to
// already may be retained, so that it can't be gone; before Started anything
// may. References are counted in bytes of a record, see Map.
func (s *Store) Retain(es ...Extent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range es {
		if e.check() != nil {
			continue
		}
		seg, ok := s.segments[e.Seg]
		if !ok {
			seg = &segment{
				id: e.Seg, path: filepath.Join(s.dir, segmentName(e.Seg)),
				bad: &CorruptError{Seg: e.Seg, Err: ErrMissing},
			}
			s.segments[e.Seg] = seg
		}
		s.retainLocked(seg, e)
	}
}

// Release gives references back: extents, or parts of them. Call it only when
// the rows that held them are committed without them (durably, if there is no
// Options.Barrier): a segment that nothing refers to is unlinked soon after.
func (s *Store) Release(es ...Extent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range es {
		if e.check() != nil {
			continue
		}
		seg, ok := s.segments[e.Seg]
		if !ok || seg.refs[e.Pos].bytes < e.Len {
			s.log.WithField("segment", segmentName(e.Seg)).Error("staging: more was released than retained")
			if ok {
				seg.pinned = true
			}
			continue
		}
		s.releaseLocked(seg, e)
	}
}

func (s *Store) retainLocked(seg *segment, e Extent) {
	r := seg.refs[e.Pos]
	before := r.liveBytes()
	r.bytes += e.Len
	r.size = max(r.size, e.Skip+e.Len)
	if seg.refs == nil {
		seg.refs = make(map[int64]ref)
	}
	seg.refs[e.Pos] = r
	s.addLiveLocked(seg, r.liveBytes()-before)
}

func (s *Store) releaseLocked(seg *segment, e Extent) {
	r := seg.refs[e.Pos]
	before := r.liveBytes()
	r.bytes -= e.Len
	if r.bytes > 0 {
		seg.refs[e.Pos] = r
		s.addLiveLocked(seg, r.liveBytes()-before)
		return
	}
	delete(seg.refs, e.Pos)
	s.addLiveLocked(seg, -before)
	s.reapLocked(seg)
}

func (s *Store) addLiveLocked(seg *segment, n int64) {
	seg.live += n
	s.live += n
}

// Started says that all that the database holds has been retained: segments
// of which nothing was are dropped, now and from now on.
func (s *Store) Started() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	for _, seg := range s.segments {
		s.reapLocked(seg)
	}
}

// deadLocked tells whether a segment can go.
func (s *Store) deadLocked(seg *segment) bool {
	return s.started && !seg.current && !seg.pinned && seg.users == 0 && len(seg.refs) == 0
}

// reapLocked has a segment unlinked if it is dead. The work is done by a
// goroutine that ends when there is no more: neither the barrier nor the disk
// holds up who released the last reference.
func (s *Store) reapLocked(seg *segment) {
	if s.closed || !s.deadLocked(seg) {
		return
	}
	s.reapMore = true
	if s.reaping {
		return
	}
	s.reaping = true
	s.tasks.Add(1)
	go s.reap()
}

// reap unlinks dead segments until there are none. What dies while it syncs is for its next round: this sync and this
// barrier may have come too early for the rows that dropped it, and for what took its place.
func (s *Store) reap() {
	defer s.tasks.Done()
	for dead, more := s.findDead(); more; dead, more = s.findDead() {
		// What was dropped may have been synced, and what took its place not yet.
		if err := s.Sync(context.Background()); err != nil {
			if !errors.Is(err, ErrClosed) {
				s.log.WithError(err).Warn("staging: dead segments are kept, what was written since can't be synced")
			}
			continue
		}
		if s.barrier != nil {
			if err := s.barrier(); err != nil {
				s.log.WithError(err).Warn("staging: dead segments are kept, the database can't be synced")
				continue
			}
		}
		for _, seg := range s.takeDead(dead) {
			if err := seg.unlink(); err != nil {
				s.log.WithError(err).Warn("staging: a dead segment can't be unlinked")
				s.putBack(seg)
			}
		}
	}
}

// findDead lists the dead segments, if one died since it was last asked; if
// not, the reaper is over.
func (s *Store) findDead() (dead []*segment, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	more = s.reapMore
	s.reapMore = false
	s.reaping = more
	if !more {
		return nil, false
	}
	for _, seg := range s.segments {
		if s.deadLocked(seg) {
			dead = append(dead, seg)
		}
	}
	return dead, true
}

// takeDead takes segments that were dead out of the table. One that was
// retained or is read since stays.
func (s *Store) takeDead(were []*segment) (dead []*segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range were {
		if s.deadLocked(seg) {
			delete(s.segments, seg.id)
			dead = append(dead, seg)
		}
	}
	return dead
}

// putBack keeps a segment that could not be unlinked, for the next start.
func (s *Store) putBack(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.pinned = true
	s.segments[seg.id] = seg
}

// unlink removes a segment's file.
func (g *segment) unlink() error {
	err := g.closeFile()
	if rm := os.Remove(g.path); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}

// acquire finds a segment for use; leave ends it.
func (s *Store) acquire(id uint64) (*segment, *os.File, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, nil, ErrClosed
	}
	seg, ok := s.segments[id]
	if !ok {
		s.mu.Unlock()
		return nil, nil, &CorruptError{Seg: id, Err: ErrMissing}
	}
	seg.users++
	s.mu.Unlock()
	f, opened, err := seg.openFile()
	if err != nil {
		s.leave(seg)
		return nil, nil, err
	}
	if opened {
		s.mu.Lock()
		s.open++
		s.closeIdleLocked()
		s.mu.Unlock()
	}
	return seg, f, nil
}

func (s *Store) leave(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveLocked(seg)
}

func (s *Store) leaveLocked(seg *segment) {
	seg.users--
	if s.closed && seg.users == 0 {
		seg.closeFile()
	}
	s.reapLocked(seg)
}

// closeIdleLocked closes files that nobody uses when too many are open. Files
// with unsynced bytes stay open, so that the error of a failed write-back
// reaches our sync.
func (s *Store) closeIdleLocked() {
	if s.open <= s.openLimit {
		return
	}
	s.open = 0
	for _, seg := range s.segments {
		if !seg.isOpen() {
			continue
		}
		if seg.users > 0 || seg.current || seg.dirty || seg.suspect {
			s.open++
			continue
		}
		if err := seg.closeFile(); err != nil {
			s.log.WithError(err).Warn("staging: closing an idle segment")
		}
	}
}

// giveBack returns the space of a write that failed half-way, as far as the
// filesystem can.
func giveBack(f *os.File, pos, n int64) {
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, pos, n)
}
