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
		if err := e.tree.MayWrite(ino); err != nil {
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

// inState changes the state of an open file, whose later commit would undo
// what was written into the row. While a program writes to the file it is
// committed with that, at the latest by close. False: the file isn't open.
func (e *Engine) inState(ctx context.Context, ino tree.Ino, change func(*fileState)) (bool, error) {
	st := e.pinLoaded(ino)
	if st == nil {
		return false, nil
	}
	defer e.unpin(st)
	st.mu.Lock()
	defer st.mu.Unlock()
	change(st)
	st.ctime, st.dirty = e.now().UnixNano(), true
	if st.writers > 0 {
		return true, nil
	}
	return true, e.commitLocked(ctx, st)
}

// setTimes sets the times that are given.
func (e *Engine) setTimes(ctx context.Context, ino tree.Ino, a Attr) error {
	open, err := e.inState(ctx, ino, func(st *fileState) {
		if a.Mtime != nil {
			st.mtime, st.exact = a.Mtime.UnixNano(), !a.Now
		}
		if a.Atime != nil {
			st.atime = a.Atime.UnixNano()
		}
	})
	if open {
		return err
	}
	return e.update(ctx, func(c *change) error {
		in, err := c.Get(ino)
		if err != nil {
			return err
		}
		in.Ctime = e.now().UnixNano()
		if a.Atime != nil {
			in.Atime = a.Atime.UnixNano()
		}
		if a.Mtime == nil {
			return c.Put(&in)
		}
		in.Mtime, in.Exact = a.Mtime.UnixNano(), !a.Now
		return c.commitAttrs(&in, tree.OwnMtime)
	})
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
	in.Own = attrsDiffer(in)
	in.Pending &^= tree.PendingAttrs
	if in.Own != 0 {
		in.Pending |= tree.PendingAttrs
	}
	if in.Own&tree.OwnOthers == 0 {
		in.Others = nil
	}
}

// unixSeconds rounds towards the past, as time.Unix does.
func unixSeconds(ns int64) int64 { return time.Unix(0, ns).Unix() }

// setMode changes the permission bits.
func (e *Engine) setMode(ctx context.Context, ino tree.Ino, mode uint32) error {
	mode &= 0o777
	if open, err := e.inState(ctx, ino, func(st *fileState) { st.chmod = &mode }); open {
		return err
	}
	return e.update(ctx, func(c *change) error {
		in, err := c.Get(ino)
		if err != nil {
			return err
		}
		in.Ctime = e.now().UnixNano()
		if !setMode(&in, mode) {
			return c.Put(&in)
		}
		return c.commitAttrs(&in, tree.OwnMode)
	})
}

// setMode tells whether a mode is a new one. One that says what is shown
// already is no use of modes: nothing is sent for it.
func setMode(in *tree.Inode, mode uint32) bool {
	if in.HasMode && in.Mode == mode {
		return false
	}
	in.Mode, in.HasMode, in.ModeLocal = mode, true, false
	return true
}
