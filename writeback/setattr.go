package writeback

import (
	"context"
	"time"

	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// Attr says what SetAttr changes; nil fields stay. Atime isn't kept anywhere.
type Attr struct {
	Mode  *uint32
	Size  *int64
	Mtime *time.Time
	Atime *time.Time
}

// SetAttr changes attributes and gives the inode as it is then. Errors:
// ErrTooBig, tree.ErrIsDir (a folder has no size), tree.ErrStale.
func (e *Engine) SetAttr(ctx context.Context, ino tree.Ino, a Attr) (tree.Inode, error) {
	if a.Size != nil || a.Mtime != nil {
		if err := e.tree.View(func(tx *tree.Tx) error { return tx.MayWrite(ino) }); err != nil {
			return tree.Inode{}, err
		}
	}
	if a.Size != nil {
		if err := e.resize(ctx, ino, *a.Size); err != nil {
			return tree.Inode{}, err
		}
	}
	if a.Mtime != nil {
		if err := e.setMtime(ctx, ino, a.Mtime.UnixNano()); err != nil {
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

// setMtime goes through the state of an open file, whose later commit would
// undo it otherwise.
func (e *Engine) setMtime(ctx context.Context, ino tree.Ino, mtime int64) error {
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
		st.mtime, st.dirty = mtime, true
		return e.commitLocked(ctx, st)
	}
	return e.update(ctx, func(c *change) error {
		in, err := c.Get(ino)
		if err != nil {
			return err
		}
		in.Mtime, in.Ctime = mtime, e.now().UnixNano()
		return c.commitMtime(&in)
	})
}

// commitMtime stores the row; a file in the cloud also differs from it then,
// if it has a fingerprint to hold the time (PROTOCOL 3.5).
func (c *change) commitMtime(in *tree.Inode) error {
	if in.Removed || in.Kind != tree.File || in.Pending&(tree.PendingCreate|tree.PendingContent) != 0 {
		return c.Put(in)
	}
	if (in.Cloud == nil && !c.inFlight(in.Ino)) || (in.Cloud != nil && !mtimeDiffers(in)) {
		return c.Put(in)
	}
	in.Pending |= tree.PendingAttrs
	if err := c.Put(in); err != nil {
		return err
	}
	return c.touch(in.Ino, nil)
}

// mtimeDiffers tells whether the cloud's fingerprint says another second.
func mtimeDiffers(in *tree.Inode) bool {
	if in.Cloud == nil {
		return false
	}
	text, ok := in.Cloud.Attrs.String("c")
	if !ok {
		return false
	}
	f, err := megacrypto.ParseFingerprint(text)
	return err == nil && f.Mtime != unixSeconds(in.Mtime)
}

// unixSeconds rounds towards the past, as time.Unix does.
func unixSeconds(ns int64) int64 { return time.Unix(0, ns).Unix() }

// setMode keeps mode bits in the tree; they don't go to the cloud.
func (e *Engine) setMode(ctx context.Context, ino tree.Ino, mode uint32) error {
	return e.update(ctx, func(c *change) error {
		in, err := c.Get(ino)
		if err != nil {
			return err
		}
		in.Mode, in.HasMode, in.Ctime = mode&0o7777, true, e.now().UnixNano()
		return c.Put(&in)
	})
}
