package writeback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// A file that is kept open and written over and over leaves segments of which
// little is live. What is live in those is stored anew, by steps: copied and
// synced, with no lock held; then, in one transaction a file, the rows name the
// copies. The old records are released after that, and the staging unlinks
// their segment once the database is synced. So a crash finds rows and bytes of
// before or of after, and copies that no row names go with the next start. A
// frozen generation stays where it is until it is over, and its segments with
// it: its extents are part of the upload's identity.

const (
	compactBytes = 16 << 20        // of live bytes that one step moves
	compactFiles = 1000            // files that one step moves bytes of
	compactRest  = 5 * time.Minute // before a segment that couldn't be emptied is looked at again
)

// compactLoop keeps the disk use of the staging below twice what is live.
func (e *Engine) compactLoop() {
	defer e.jobs.Done()
	tick := time.NewTicker(e.times.Compact)
	defer tick.Stop()
	rests := map[uint64]time.Time{} // segments that couldn't be emptied, until when
	for {
		select {
		case <-e.stop.Done():
			return
		case <-e.staging.Rolled():
		case <-tick.C:
		}
		if err := e.compact(e.stop, rests); err != nil && !isCancel(e.stop, err) {
			e.log.WithError(err).Warn("making room in the staging")
		}
	}
}

// compact empties wasteful segments until there are none that it can. It rests
// while the disk has no room.
func (e *Engine) compact(ctx context.Context, rests map[uint64]time.Time) error {
	for ctx.Err() == nil && e.room() == nil {
		victims := map[uint64]bool{}
		for _, id := range e.staging.Wasteful(func(id uint64) bool { return e.now().Before(rests[id]) }) {
			victims[id] = true
			rests[id] = e.now().Add(compactRest)
		}
		if len(victims) == 0 {
			break
		}
		if err := e.emptySegments(ctx, victims); err != nil {
			return err
		}
	}
	maps.DeleteFunc(rests, func(_ uint64, until time.Time) bool { return e.now().After(until) })
	return ctx.Err()
}

// emptySegments moves out of segments what files have in them.
func (e *Engine) emptySegments(ctx context.Context, victims map[uint64]bool) error {
	inos, err := e.inosIn(victims)
	if err != nil {
		return fmt.Errorf("looking for staged bytes to be moved: %w", err)
	}
	m := &mover{e: e, victims: victims, staging: e.staging.NewMover()}
	defer m.staging.Close()
	for _, ino := range inos {
		for from, more := int64(0), true; more; {
			if err := ctx.Err(); err != nil {
				return errors.Join(err, m.step(ctx))
			}
			from, more = m.take(ino, from)
			if more || m.bytes >= compactBytes || len(m.moves) >= compactFiles {
				if err := m.step(ctx); err != nil {
					return err
				}
			}
		}
	}
	return m.step(ctx)
}

// inosIn lists the files that have bytes in segments: by their rows, and those
// whose rows may not say all.
func (e *Engine) inosIn(victims map[uint64]bool) (inos []tree.Ino, err error) {
	found := map[tree.Ino]bool{}
	err = e.tree.View(func(tx *tree.Tx) error {
		return scanRegions(tx.Badger(), []byte{rowPrefix, rowExtents}, func(ino tree.Ino, _ uint64, es []staging.Extent) error {
			for _, x := range es {
				found[ino] = found[ino] || victims[x.Seg]
			}
			return nil
		})
	})
	e.filesMu.Lock()
	for ino := range e.files {
		found[ino] = true
	}
	e.filesMu.Unlock()
	for ino, in := range found {
		if in {
			inos = append(inos, ino)
		}
	}
	return inos, err
}

// mover moves bytes of some files in one step.
type mover struct {
	e       *Engine
	victims map[uint64]bool
	staging *staging.Mover
	moves   []move
	bytes   int64 // in moves
}

// move is what is to be moved of one file, which is pinned.
type move struct {
	st  *fileState
	old []staging.Extent
	new []staging.Extent // as many as could be copied
}

// take notes what a file has to be moved from an offset on, as much as a step
// takes; more: there may be more, from next on.
func (m *mover) take(ino tree.Ino, from int64) (next int64, more bool) {
	st, err := m.e.pin(ino)
	if err != nil {
		return 0, false // gone meanwhile, or the end
	}
	old, more := m.pick(st, from)
	if len(old) == 0 {
		m.e.unpin(st)
		return from, more
	}
	m.moves = append(m.moves, move{st: st, old: old})
	return old[len(old)-1].End(), more
}

// pick lists the extents of a file that lie in the victims.
func (m *mover) pick(st *fileState, from int64) (old []staging.Extent, more bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if m.e.queue.generation(st.ino) != nil {
		return nil, false
	}
	for _, x := range st.m.Extents() {
		if x.Off < from || !m.victims[x.Seg] {
			continue
		}
		if m.bytes >= compactBytes {
			return old, true
		}
		old = append(old, x)
		m.bytes += x.Len
	}
	return old, false
}

// step copies what was taken, syncs the copies, and lets the files refer to
// them.
func (m *mover) step(ctx context.Context) error {
	err := m.copy(ctx)
	failpoint("compact-copied")
	if err == nil && len(m.moves) > 0 {
		err = m.e.staging.Sync(ctx)
	}
	for _, mv := range m.moves {
		if err == nil {
			err = m.e.swap(ctx, mv)
		} else {
			m.e.staging.Release(mv.new...)
		}
		m.e.unpin(mv.st)
	}
	failpoint("compact-swapped")
	m.moves, m.bytes = nil, 0
	return err
}

// copy copies the extents of each move. One that can't be read stays where it
// is: whoever reads it is told.
func (m *mover) copy(ctx context.Context) error {
	for i := range m.moves {
		mv := &m.moves[i]
		var readable []staging.Extent
		for _, x := range mv.old {
			if err := ctx.Err(); err != nil {
				return err
			}
			moved, err := m.staging.Move(x)
			var corrupt *staging.CorruptError
			if errors.As(err, &corrupt) {
				continue
			}
			if err != nil {
				return fmt.Errorf("copying staged bytes: %w", err)
			}
			readable, mv.new = append(readable, x), append(mv.new, moved)
		}
		mv.old = readable
	}
	return nil
}

// swap lets a file refer to the copies of what it still refers to, in its map and in
// its rows.
func (e *Engine) swap(ctx context.Context, mv move) error {
	st := mv.st
	st.mu.Lock()
	defer st.mu.Unlock()
	if e.queue.generation(st.ino) != nil { // frozen meanwhile
		e.staging.Release(mv.new...)
		return nil
	}
	for i, x := range mv.old {
		unused := mv.new[i]
		for _, d := range st.m.Swap(x, mv.new[i]) {
			st.garbage = append(st.garbage, d)
			unused.Len -= d.Len
		}
		e.staging.Release(unused)
	}
	if st.dirty {
		return e.commitLocked(ctx, st)
	}
	err := e.storeMapLocked(ctx, st, func(*change) error { return nil })
	if err != nil {
		st.dirty = true // the next commit stores it
	}
	return err
}
