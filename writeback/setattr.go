package writeback

import (
	"context"
	"time"

	"megadisk/writeback/tree"
)

// Attr says what SetAttr changes; nil fields stay. Atime is kept here only:
// MEGA has no access times.
type Attr struct {
	Mode  *uint32
	Size  *int64
	Mtime *time.Time
	Now   bool // Mtime is just the clock's: its fraction isn't kept in the cloud
	Atime *time.Time
}

// SetAttr changes attributes and gives the inode as it is then. Errors:
// ErrTooBig, tree.ErrIsDir (a folder has no size), tree.ErrStale.
func (e *Engine) SetAttr(ctx context.Context, ino tree.Ino, a Attr) (tree.Inode, error) {
	if a != (Attr{}) {
		if err := e.tree.View(func(tx *tree.Tx) error { return tx.MayWrite(ino) }); err != nil {
			return tree.Inode{}, err
		}
	}
	if a.Size != nil {
		if err := e.resize(ctx, ino, *a.Size); err != nil {
			return tree.Inode{}, err
		}
	}
	if a.Mtime != nil || a.Atime != nil {
		if err := e.setTimes(ctx, ino, a); err != nil {
			return tree.Inode{}, err
		}
	}
	if a.Mode != nil {
		if err := e.setMode(ctx, ino, *a.Mode); err != nil {
			return tree.Inode{}, err
		}
	}
	return e.Stat(ino)
}

func (e *Engine) resize(ctx context.Context, ino tree.Ino, size int64) error {
	st, err := e.pin(ino)
	if err != nil {
		return err
	}
	defer e.unpin(st)
	st.mu.Lock()
	defer st.mu.Unlock()
	return e.resizeLocked(ctx, st, size)
}

// setTimes sets the times. The one of modification goes through the state of
// an open file, whose later commit would undo it otherwise.
func (e *Engine) setTimes(ctx context.Context, ino tree.Ino, a Attr) error {
	if a.Mtime == nil {
		return e.update(ctx, func(c *change) error { return c.setAtime(ino, a.Atime) })
	}
	mtime, exact := a.Mtime.UnixNano(), !a.Now
	e.filesMu.Lock()
	open := e.files[ino] != nil
	e.filesMu.Unlock()
	if open {
		st, err := e.pin(ino)
		if err != nil {
			return err
		}
		defer e.unpin(st)
		st.mu.Lock()
		defer st.mu.Unlock()
		st.mtime, st.exact, st.dirty = mtime, exact, true
		if a.Atime != nil {
			st.atime = a.Atime.UnixNano()
		}
		return e.commitLocked(ctx, st)
	}
	return e.update(ctx, func(c *change) error {
		in, err := c.Get(ino)
		if err != nil {
			return err
		}
		in.Mtime, in.Exact, in.Ctime = mtime, exact, e.now().UnixNano()
		if a.Atime != nil {
			in.Atime = a.Atime.UnixNano()
		}
		return c.commitAttrs(&in, tree.OwnMtime)
	})
}

func (c *change) setAtime(ino tree.Ino, at *time.Time) error {
	in, err := c.Get(ino)
	if err != nil {
		return err
	}
	in.Atime, in.Ctime = at.UnixNano(), c.e.now().UnixNano()
	return c.Put(&in)
}

// commitAttrs stores a row of which attributes were changed. They go to the
// cloud if its node says something else. Of what isn't there yet, and of
// content on its way, they are a part.
func (c *change) commitAttrs(in *tree.Inode, own tree.Own) error {
	if in.Removed || in.Parent == 0 || in.Pending.Has(tree.PendingCreate) && !c.inFlight(in.Ino) {
		return c.Put(in)
	}
	if in.Pending.Has(tree.PendingCreate | tree.PendingContent) {
		own &^= tree.OwnMtime // settleCreation compares it
	}
	if in.Cloud != nil && !c.inFlight(in.Ino) {
		same := own &^ in.Differs(in.Cloud.Attrs)
		own &^= same
		if in.Pending.Has(tree.PendingAttrs) && in.Own != 0 {
			in.Own &^= same
		}
	}
	if own == 0 {
		return c.Put(in)
	}
	in.Claim(own)
	if err := c.Put(in); err != nil {
		return err
	}
	return c.touch(in.Ino, nil)
}

// attrsDiffer tells which attributes of an inode aren't in the cloud's node.
// While content is to be sent, the time goes with that.
func attrsDiffer(in *tree.Inode) tree.Own {
	if in.Cloud == nil {
		return 0
	}
	own := in.Differs(in.Cloud.Attrs)
	if in.Pending.Has(tree.PendingContent) {
		own &^= tree.OwnMtime
	}
	return own
}

// reviewAttrs compares the attributes with the shadow once more, after
// something was sent: what still differs is pending.
func reviewAttrs(in *tree.Inode) {
	in.Pending &^= tree.PendingAttrs
	if own := attrsDiffer(in); own != 0 {
		in.Claim(own)
	}
}

// unixSeconds rounds towards the past, as time.Unix does.
func unixSeconds(ns int64) int64 { return time.Unix(0, ns).Unix() }

// setMode changes the permission bits. A mode that says what is shown already
// is no use of modes: nothing is sent for it.
func (e *Engine) setMode(ctx context.Context, ino tree.Ino, mode uint32) error {
	return e.update(ctx, func(c *change) error {
		in, err := c.Get(ino)
		if err != nil {
			return err
		}
		in.Ctime = e.now().UnixNano()
		if in.HasMode && in.Mode == mode&0o777 {
			return c.Put(&in)
		}
		in.Mode, in.HasMode, in.ModeLocal = mode&0o777, true, false
		return c.commitAttrs(&in, tree.OwnMode)
	})
}
