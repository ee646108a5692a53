package writeback

import (
	"context"
	"fmt"
	"time"

	"megadisk/writeback/tree"
)

// commitBytes of staged writes at most wait for their commit.
const commitBytes = 64 << 20

// WriteAt writes all of p or fails. Errors: ErrNoSpace, ErrTooBig,
// ErrNotWritable, tree.ErrInvalid.
func (f *File) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	if !f.write {
		return 0, ErrNotWritable
	}
	if err := checkRange(off, int64(len(p))); err != nil || len(p) == 0 {
		return 0, err
	}
	st := f.st
	if err := f.e.roomFor(ctx, st, int64(len(p))); err != nil {
		return 0, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := f.e.storable(st.ino, max(st.size, off+int64(len(p)))); err != nil {
		return 0, err
	}
	if err := f.e.markContentLocked(ctx, st); err != nil {
		return 0, err
	}
	if err := f.e.appendLocked(st, p, off); err != nil {
		return 0, err
	}
	if st.unsaved >= commitBytes {
		// A failure here isn't the write's: the bytes are staged, and the next
		// commit or FLUSH says it.
		if err := f.e.commitLocked(ctx, st); err != nil {
			f.e.log.WithError(err).Warn("committing writes early")
		}
	}
	return len(p), nil
}

func checkRange(off, n int64) error {
	if off < 0 {
		return tree.ErrInvalid
	}
	if off > MaxFileSize-n {
		return ErrTooBig
	}
	return nil
}

// markContentLocked stores that the file differs from the cloud, before its
// first write: a version that comes from elsewhere is then a conflict and not
// a replacement.
func (e *Engine) markContentLocked(ctx context.Context, st *fileState) error {
	if st.marked {
		return nil
	}
	if len(st.garbage) > 0 {
		// Rows with what was staged for an earlier content (leaveBehind): after
		// the mark they would be taken for this one's.
		if err := e.commitLocked(ctx, st); err != nil {
			return err
		}
	}
	err := e.update(ctx, func(c *change) error {
		in, err := c.Get(st.ino)
		if err != nil {
			return err
		}
		return c.markContent(&in)
	})
	if err != nil {
		return err
	}
	st.marked = true
	return nil
}

// markContent sets the bits of a file whose content changes. A file that
// somebody replaced or removed elsewhere while it was open here comes back
// under a conflict name: its writer doesn't know.
func (c *change) markContent(in *tree.Inode) error {
	if in.Removed && in.Pending&tree.PendingRemove == 0 && !c.unlinkedHere(in.Ino) {
		if err := c.rescue(in); err != nil {
			return err
		}
	}
	if !in.Removed && in.Cloud != nil && !in.Pending.Has(tree.PendingContent) {
		if err := c.TakeOutContent(in.Ino); err != nil {
			return err
		}
		now, err := c.Get(in.Ino)
		if err != nil {
			return err
		}
		*in = now
	}
	if in.Removed {
		return nil // unlinked here: its bytes go with it
	}
	if in.Cloud == nil {
		in.Pending |= tree.PendingCreate
	}
	in.Pending |= tree.PendingContent
	if err := c.Put(in); err != nil {
		return err
	}
	return c.touch(in.Ino, func(ent *entry) { ent.Held = false })
}

func (e *Engine) appendLocked(st *fileState, p []byte, off int64) error {
	es, err := e.staging.Append(st.owner, off, p)
	if err != nil {
		return fmt.Errorf("staging a write: %w", err)
	}
	st.garbage = append(st.garbage, st.m.Insert(es...)...)
	dropped, err := e.staging.Tidy(st.owner, st.m, off, int64(len(p)))
	if err != nil {
		// The map is right, only crumbled. Damage is found again, and said, by
		// whoever reads it.
		e.log.WithError(err).Debug("tidying staged bytes")
	}
	st.garbage = append(st.garbage, dropped...)
	now := e.now()
	st.size = max(st.size, off+int64(len(p)))
	st.changedLocked(now)
	st.lastWrite, st.emptied = now, time.Time{}
	st.dirty, st.content = true, true
	st.unsaved += int64(len(p))
	return nil
}

// changedLocked sets the times of a change of the content.
func (st *fileState) changedLocked(now time.Time) {
	st.mtime, st.exact, st.ctime = now.UnixNano(), false, now.UnixNano()
}

// resizeLocked changes the size: down cuts, up adds zeros.
func (e *Engine) resizeLocked(ctx context.Context, st *fileState, size int64) error {
	if err := checkRange(0, size); err != nil {
		return err
	}
	if size == st.size {
		st.changedLocked(e.now())
		st.dirty = true
		return e.commitLocked(ctx, st)
	}
	if size > st.size { // making it smaller makes room
		if err := e.storable(st.ino, size); err != nil {
			return err
		}
	}
	if err := e.markContentLocked(ctx, st); err != nil {
		return err
	}
	if size < st.size {
		st.cutLocked(size)
	}
	if st.writers == 0 {
		e.forgetSession(st.ino)
		st.session = nil
	}
	now := e.now()
	st.changedLocked(now)
	st.size, st.lastWrite = size, now
	if size == 0 {
		st.emptied = now
	}
	st.dirty, st.content = true, true
	return e.commitLocked(ctx, st)
}

// cutLocked drops what lies at size and beyond. Rows still have it, those of what is uploaded too: should the process die
// before the commit, the file is what it was.
func (st *fileState) cutLocked(size int64) {
	st.garbage = append(st.garbage, st.m.Truncate(size)...)
	st.base.Limit = min(st.base.Limit, size)
	if st.gen != nil {
		st.gen.limit = min(st.gen.limit, size)
	}
	st.cut = true
}

// Flush is close(2): after it the handle's writes survive kill -9.
func (f *File) Flush(ctx context.Context) error {
	f.st.mu.Lock()
	defer f.st.mu.Unlock()
	return f.e.commitWholeLocked(ctx, f.st)
}

// Fsync is fsync(2): after it the file's bytes, size and name survive a loss
// of power too.
func (f *File) Fsync(ctx context.Context) error {
	f.st.mu.Lock()
	err := f.e.commitWholeLocked(ctx, f.st)
	f.st.mu.Unlock()
	if err != nil {
		return err
	}
	return f.e.SyncDir(ctx, f.st.ino)
}

// SyncDir is fsync(2) of a directory: everything done so far survives a loss
// of power, and with Options.FsyncCloud the cloud has all that is in it.
func (e *Engine) SyncDir(ctx context.Context, ino tree.Ino) error {
	if err := e.syncAll(ctx); err != nil || !e.opts.FsyncCloud {
		return err
	}
	if in, err := e.tree.Get(ino); err != nil || in.Removed {
		return err // what was unlinked doesn't go up
	}
	return e.Flush(ctx, ino)
}

// syncAll makes everything done so far survive a loss of power.
func (e *Engine) syncAll(ctx context.Context) error {
	if err := e.staging.Sync(ctx); err != nil {
		return fmt.Errorf("syncing staged bytes: %w", err)
	}
	if err := e.tree.Sync(); err != nil {
		return fmt.Errorf("syncing the tree: %w", err)
	}
	return nil
}

// commitLocked stores the state's extent map, size and mtime in one
// transaction.
func (e *Engine) commitLocked(ctx context.Context, st *fileState) error {
	if !st.dirty {
		return nil
	}
	if st.cut {
		// The cut-off bytes are gone with this record: what was written in
		// their place must not be lost to a power cut that keeps the record.
		if err := e.staging.Sync(ctx); err != nil {
			return fmt.Errorf("syncing staged bytes: %w", err)
		}
	}
	err := e.storeMapLocked(ctx, st, func(c *change) error {
		in, err := c.Get(st.ino)
		if err != nil {
			return err
		}
		return c.commitInode(st, &in)
	})
	if err != nil {
		return fmt.Errorf("committing writes: %w", err)
	}
	if st.content {
		st.half = !st.whole && st.writers > 0
	}
	st.dirty, st.content, st.cut, st.unsaved, st.atime, st.chmod = false, false, false, 0, 0, nil
	return nil
}

// commitWholeLocked is the commit of a close or fsync: what is stored then isn't cut short by the end of the process.
func (e *Engine) commitWholeLocked(ctx context.Context, st *fileState) error {
	st.whole = true
	defer func() { st.whole = false }()
	if err := e.commitLocked(ctx, st); err != nil || !st.half {
		return err
	}
	if err := e.update(ctx, func(c *change) error { return c.nowWhole(st.ino) }); err != nil {
		return fmt.Errorf("committing a close: %w", err)
	}
	st.half = false
	return nil
}

// storeMapLocked stores the regions of the state's extent map that changed, in
// one step with what more does, and releases what no row names any more.
func (e *Engine) storeMapLocked(ctx context.Context, st *fileState, more func(*change) error) error {
	if err := e.turnLocked(ctx, st); err != nil {
		return err
	}
	regions := st.m.DirtyRegions()
	rows, err := e.regionsOf(ctx, rowExtents, st.ino, st.m, regions)
	if err != nil {
		return err
	}
	if atOnce(rows) < len(rows) {
		st.turning = true
		if err := e.putNext(ctx, rows); err != nil {
			return err
		}
		rows = nil
	}
	err = e.update(ctx, func(c *change) error {
		for _, r := range rows {
			if err := c.storeRegion(r); err != nil {
				return err
			}
		}
		if st.turning {
			if err := c.countNext(st.ino); err != nil {
				return err
			}
		}
		return more(c)
	})
	if err != nil {
		return err
	}
	failpoint("committed")
	if err := e.turnLocked(context.WithoutCancel(ctx), st); err != nil { // it is committed: nothing may interrupt that any more
		return err
	}
	st.m.ClearRegions(regions)
	e.staging.Release(st.garbage...)
	st.garbage = nil
	return nil
}

// commitInode writes size, times, mode and base of the state into its row.
func (c *change) commitInode(st *fileState, in *tree.Inode) error {
	if in.Removed && in.Cloud != nil {
		return nil // its content goes with its handles; the row is the cloud's version
	}
	if st.content {
		// First of all: of a file that was acknowledged since it was written it reads the row again.
		if err := c.markContent(in); err != nil {
			return err
		}
	}
	in.Size, in.Base = st.size, st.base
	in.Mtime, in.Exact, in.Ctime = st.mtime, st.exact, max(in.Ctime, st.ctime)
	if st.atime != 0 {
		in.Atime = st.atime
	}
	own := tree.Own(0)
	if st.chmod != nil && setMode(in, *st.chmod) {
		own = tree.OwnMode
	}
	if st.gen != nil && st.cut {
		if err := c.cutGeneration(st.gen, st.gen.limit); err != nil {
			return err
		}
	}
	if !st.content {
		return c.commitAttrs(in, tree.OwnMtime|own)
	}
	if err := c.commitAttrs(in, own); err != nil || in.Removed {
		return err
	}
	return c.touch(st.ino, func(ent *entry) {
		ent.Content++
		ent.Open = !st.whole && st.writers > 0
	})
}

// nowWhole notes that what was stored while it was being written has been closed or synced since. What has gone up
// meanwhile needs no note.
func (c *change) nowWhole(ino tree.Ino) error {
	if ent, ok, err := c.entry(ino); err != nil || !ok || !ent.Open {
		return err
	}
	return c.touch(ino, func(ent *entry) { ent.Open = false })
}
