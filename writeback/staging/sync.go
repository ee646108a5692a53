package staging

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"megadisk/writeback/durable"
)

// syncRound is one sync that callers share.
type syncRound struct {
	done chan struct{}
	err  error // set before done is closed
}

// parallelSyncs is how many segments are synced at once.
const parallelSyncs = 4

// Sync returns when everything whose Append returned before the call is safe
// from power loss. Callers that come while a sync runs share the next one. A
// sync that failed is not forgotten: the next one writes the bytes again, and
// fails too if they can't be had any more. When ctx ends first its error is
// returned, and the sync goes on.
func (s *Store) Sync(ctx context.Context) error {
	round := s.joinRound(false)
	if round == nil {
		return ErrClosed
	}
	select {
	case <-round.done:
		return round.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// joinRound gives the round that hasn't begun, and sees to it that it will;
// none after the last one, which Close joins.
func (s *Store) joinRound(last bool) *syncRound {
	s.syncMu.Lock()
	defer s.syncMu.Unlock()
	if s.synced {
		return nil
	}
	s.synced = last
	if s.next == nil {
		s.next = &syncRound{done: make(chan struct{})}
	}
	round := s.next
	if !s.syncing {
		s.syncing = true
		s.tasks.Add(1)
		go s.runRounds()
	}
	return round
}

// runRounds runs rounds, one after the other, until nobody asks for one.
func (s *Store) runRounds() {
	defer s.tasks.Done()
	for {
		s.syncMu.Lock()
		round := s.next
		s.next = nil
		s.syncing = round != nil
		s.syncMu.Unlock()
		if round == nil {
			return
		}
		round.err = s.syncAll()
		close(round.done)
	}
}

// syncAll syncs every dirty segment, then the folder if it got new entries.
func (s *Store) syncAll() error {
	dirty, dir := s.takeDirty()
	var group errgroup.Group
	group.SetLimit(parallelSyncs)
	for _, seg := range dirty {
		group.Go(func() error { return s.syncSegment(seg) })
	}
	err := group.Wait()
	if !dir {
		return err
	}
	if dirErr := durable.SyncDir(s.dir); dirErr != nil {
		s.mu.Lock()
		s.dirDirty = true
		s.mu.Unlock()
		err = errors.Join(err, fmt.Errorf("syncing the staging folder: %w", dirErr))
	}
	return err
}

// takeDirty takes over what is to be synced.
func (s *Store) takeDirty() (dirty []*segment, dir bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.segments {
		if seg.dirty || seg.suspect {
			seg.dirty = false
			seg.users++
			dirty = append(dirty, seg)
		}
	}
	dir, s.dirDirty = s.dirDirty, false
	return dirty, dir
}

// syncSegment syncs one segment. After a failure the kernel may have thrown
// the bytes away and call them clean, so that a second fdatasync says nothing:
// the segment is suspect until its live records have been written again.
func (s *Store) syncSegment(seg *segment) error {
	f, _, err := seg.openFile()
	if err == nil {
		err = s.rewriteSuspect(seg, f)
	}
	if err == nil {
		if err = s.fsync(f); err != nil {
			err = fmt.Errorf("syncing segment %016x: %w", seg.id, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.suspect = err != nil
	seg.failed = seg.failed || err != nil
	s.leaveLocked(seg)
	return err
}

// rewriteSuspect writes the live records of a suspect segment once more: the
// same sealed bytes to the same place, if they still verify.
func (s *Store) rewriteSuspect(seg *segment, f *os.File) error {
	for _, pos := range s.suspectRecords(seg) {
		raw, h, err := readRecord(f, seg, pos, 1)
		if err == nil {
			_, err = openData(nil, raw.b, seg.gcm, &raw.nonce, pos, h)
			if err == nil {
				_, err = s.write(f, raw.b, pos)
			}
			putBuffer(raw)
		}
		if err != nil {
			return corruptAt(err, Extent{Seg: seg.id, Pos: pos})
		}
	}
	return nil
}

// suspectRecords lists the live records of a segment that is suspect.
func (s *Store) suspectRecords(seg *segment) (list []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !seg.suspect {
		return nil
	}
	for pos := range seg.refs {
		list = append(list, pos)
	}
	slices.Sort(list)
	return list
}
