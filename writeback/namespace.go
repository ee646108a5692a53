package writeback

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// ModeUsual in a creation's mode says that no program chose it: it is what is
// left of 0666 or 0777. It is kept here and doesn't go to the cloud.
const ModeUsual = 1 << 31

// Create makes an empty file. It goes up once it has settled and every handle
// that wrote is closed. Errors: ErrNoSpace and the tree's.
func (e *Engine) Create(ctx context.Context, parent tree.Ino, name string, mode uint32) (tree.Inode, error) {
	return e.make(ctx, newFile(parent, name, mode), nil, nil)
}

func newFile(parent tree.Ino, name string, mode uint32) tree.Inode {
	in := tree.Inode{Kind: tree.File, Parent: parent, Name: name}
	in.Mode, in.HasMode, in.ModeLocal = mode&0o777, true, mode&ModeUsual != 0 || mode == 0o644
	return in
}

// CreateOpen makes an empty file and opens it. Errors: those of Create, and
// ErrClosed.
func (e *Engine) CreateOpen(ctx context.Context, parent tree.Ino, name string, mode uint32, write bool) (tree.Inode, *File, error) {
	st := &fileState{refs: 1, m: &staging.Map{}, marked: true}
	if write {
		st.writers = 1
	}
	open := false
	in, err := e.make(ctx, newFile(parent, name, mode), nil, func(c *change, in *tree.Inode) error {
		path, err := c.Path(parent)
		if err != nil {
			return err
		}
		st.ino, st.mtime, st.ctime, st.lastWrite = in.Ino, in.Mtime, in.Ctime, e.now()
		st.owner = staging.Owner{Ino: uint64(in.Ino), Path: strings.TrimSuffix(path, "/") + "/" + name}
		c.after = append(c.after, func() { open = e.enter(st) })
		return nil
	})
	if err != nil {
		return in, nil, err
	}
	if !open {
		return in, nil, ErrClosed
	}
	return in, e.newFile(st, write), nil
}

// enter makes the state of a new file known; not while the engine closes.
func (e *Engine) enter(st *fileState) bool {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	if !e.closed {
		e.files[st.ino] = st
	}
	return !e.closed
}

// Mkdir makes a folder.
func (e *Engine) Mkdir(ctx context.Context, parent tree.Ino, name string, mode uint32) (tree.Inode, error) {
	in := tree.Inode{Kind: tree.Dir, Parent: parent, Name: name}
	in.Mode, in.HasMode, in.ModeLocal = mode&0o777, true, mode&ModeUsual != 0 || mode == 0o755
	return e.make(ctx, in, nil, nil)
}

// make makes an inode. What isn't nil is done in the same transaction: first before it is there, and fill adds to it.
func (e *Engine) make(ctx context.Context, in tree.Inode, first func(*change) error, fill func(*change, *tree.Inode) error) (tree.Inode, error) {
	if err := e.room(); err != nil {
		return tree.Inode{}, err
	}
	if err := e.storable(in.Parent, creationSize(in)); err != nil {
		return tree.Inode{}, err
	}
	e.seen(ctx)
	now := e.now().UnixNano()
	in.Mtime, in.Ctime, in.Btime = now, now, now
	in.Pending = tree.PendingCreate
	made := in
	err := e.update(ctx, func(c *change) error {
		made = in
		if err := c.notInBin(in.Parent); err != nil {
			return err
		}
		if first != nil {
			if err := first(c); err != nil {
				return err
			}
		}
		if err := c.Create(&made); err != nil {
			return err
		}
		if fill != nil {
			if err := fill(c, &made); err != nil {
				return err
			}
		}
		if err := c.bumpDir(in.Parent); err != nil {
			return err
		}
		return c.touch(made.Ino, func(ent *entry) {
			if in.Kind == tree.Dir {
				key := megacrypto.NewKey()
				ent.Key = key[:]
			}
		})
	})
	return made, err
}

// notInBin refuses a folder in the bin as a place to put something.
func (c *change) notInBin(dir tree.Ino) error {
	is, err := c.InBin(dir)
	if err == nil && is {
		err = ErrInBin
	}
	return err
}

// creationSize is what a new inode needs room for, below 0 if for nothing.
func creationSize(in tree.Inode) int64 {
	if in.Kind == tree.Dir {
		return -1
	}
	return in.Size
}

// Unlink removes a file. Who has it open keeps it until the last close.
func (e *Engine) Unlink(ctx context.Context, parent tree.Ino, name string) error {
	return e.removeName(ctx, parent, name, tree.File)
}

// Rmdir removes an empty folder.
func (e *Engine) Rmdir(ctx context.Context, parent tree.Ino, name string) error {
	return e.removeName(ctx, parent, name, tree.Dir)
}

func (e *Engine) removeName(ctx context.Context, parent tree.Ino, name string, kind tree.Kind) error {
	e.seen(ctx)
	return e.update(ctx, func(c *change) error {
		in, err := c.Lookup(parent, name)
		if err != nil {
			return err
		}
		if in.Kind != kind {
			if in.Kind == tree.Dir {
				return tree.ErrIsDir
			}
			return tree.ErrNotDir
		}
		if err := c.remove(in); err != nil {
			return err
		}
		return c.bumpDir(parent)
	})
}

// remove takes the name of a file or an empty folder away.
func (c *change) remove(in tree.Inode) error {
	if isTrashed(&in, c.row) && in.Cloud != nil {
		return c.removeFromTrash(in)
	}
	if in.Kind == tree.Dir {
		empty, err := c.IsEmptyDir(in.Ino)
		if err != nil {
			return err
		}
		if !empty {
			return tree.ErrNotEmpty
		}
	}
	parent := in.Parent
	above, err := c.ancestors(parent)
	if err != nil {
		return err
	}
	if in.Cloud != nil && slices.Contains(above, tree.BinIno) {
		return ErrInBin
	}
	if err := c.Unlink(in.Ino); err != nil {
		return err
	}
	if in, err = c.Get(in.Ino); err != nil {
		return err
	}
	in.Ctime = c.e.now().UnixNano()
	c.after = append(c.after, func() {
		c.e.queue.cancelUpload(in.Ino)
		c.e.queue.removed(in.Ino)
	})
	if in.Cloud == nil && !c.inFlight(in.Ino) {
		in.Pending = 0
		if err := c.Put(&in); err != nil {
			return err
		}
		return c.retire(in.Ino)
	}
	return c.removePending(in, above)
}

// removePending journals the removal of something that the cloud has, or will
// have when the answer comes that is on its way.
func (c *change) removePending(in tree.Inode, above []tree.Ino) error {
	as := megaclient.Handle("")
	if in.Cloud != nil {
		as = in.Cloud.Handle
		if base, known := c.ByHandle(in.Base.Handle); in.Pending&tree.PendingContent != 0 && known && base == in.Ino {
			as = in.Base.Handle
		}
	}
	in.Pending |= tree.PendingRemove
	if in.Cloud != nil && in.Pending.Has(tree.PendingContent) {
		// What was written goes with the last handle. Should somebody bring the
		// file back, it is the cloud's version that comes.
		in.Pending &^= tree.PendingContent
		in.Size, in.Base = in.Cloud.Size, baseOf(in.Cloud)
		if err := c.dropExtents(in.Ino); err != nil {
			return err
		}
	}
	if err := c.Put(&in); err != nil {
		return err
	}
	if err := c.touch(in.Ino, func(ent *entry) {
		ent.RemovedAs, ent.ForGood, ent.Braked, ent.Held = as, false, false, false
		ent.Since = ent.Last
		ent.Attempts, ent.Retry, ent.Reason = 0, 0, ""
	}); err != nil {
		return err
	}
	c.after = append(c.after, func() {
		c.e.queue.deletedBelow(above, c.e.now())
		c.e.queue.noteRemoval(&in, c.e.now())
	})
	return nil
}

// ancestors lists a folder and all above it.
func (c *change) ancestors(ino tree.Ino) ([]tree.Ino, error) {
	var all []tree.Ino
	for depth := 0; ino != 0 && ino != tree.DriveIno && depth < 4096; depth++ {
		all = append(all, ino)
		in, err := c.Get(ino)
		if isGone(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		if in.Parent == ino {
			break
		}
		ino = in.Parent
	}
	return append(all, tree.DriveIno), nil
}

// Rename moves a name, replacing what has the new one unless noReplace. It is
// one transaction: nobody sees a moment without either.
func (e *Engine) Rename(ctx context.Context, op tree.Ino, on string, np tree.Ino, nn string, noReplace bool) error {
	e.seen(ctx)
	if err := e.syncBeforeReplace(ctx, op, on, np, nn); err != nil {
		return err
	}
	return e.update(ctx, func(c *change) error {
		src, err := c.Lookup(op, on)
		if err != nil {
			return err
		}
		if up, err := c.Get(np); err != nil || up.Cloud != nil && isTrashed(&up, c.row) {
			return errors.Join(err, ErrInBin) // what was trashed stays as it was
		}
		if err := c.notInBin(np); err != nil {
			return err
		}
		dst, err := c.Lookup(np, nn)
		synced := false
		switch {
		case err == nil && dst.Ino == src.Ino && !noReplace:
			return nil
		case err == nil && noReplace:
			return tree.ErrExist
		case err == nil:
			if synced, err = c.isSynced(&dst); err != nil {
				return err
			}
			if err := c.replace(src, dst); err != nil {
				return err
			}
		case !errors.Is(err, tree.ErrNotFound):
			return err
		}
		if err := c.move(src, np, nn); err != nil || src.Cloud != nil {
			return err
		}
		return c.touch(src.Ino, func(ent *entry) { ent.Synced = synced })
	})
}

// replace removes the target of a rename.
func (c *change) replace(src, dst tree.Inode) error {
	switch {
	case src.Kind == tree.Dir && dst.Kind != tree.Dir:
		return tree.ErrNotDir
	case src.Kind != tree.Dir && dst.Kind == tree.Dir:
		return tree.ErrIsDir
	}
	return c.remove(dst)
}

// Exchange swaps two names, whatever each of them stands for, in one
// transaction.
func (e *Engine) Exchange(ctx context.Context, op tree.Ino, on string, np tree.Ino, nn string) error {
	e.seen(ctx)
	return e.update(ctx, func(c *change) error {
		a, err := c.Lookup(op, on)
		if err != nil {
			return err
		}
		b, err := c.Lookup(np, nn)
		if err != nil || a.Ino == b.Ino {
			return err
		}
		if err := errors.Join(c.notInBin(op), c.notInBin(np)); err != nil {
			return err
		}
		if err := c.Tx.Exchange(a.Ino, b.Ino); err != nil {
			return err
		}
		if err := c.moved(a.Ino); err != nil {
			return err
		}
		if err := c.moved(b.Ino); err != nil {
			return err
		}
		if err := c.bumpDir(op); err != nil || op == np {
			return err
		}
		return c.bumpDir(np)
	})
}

func (c *change) move(src tree.Inode, np tree.Ino, nn string) error {
	op := src.Parent
	if src.Kind == tree.Dir && (isTrashed(&src, c.row) || c.isTrash(np)) {
		c.after = append(c.after, func() { c.e.judgeBelow(src.Ino) })
	}
	if err := c.Move(src.Ino, np, nn); err != nil {
		return err
	}
	if err := c.moved(src.Ino); err != nil {
		return err
	}
	if err := c.bumpDir(op); err != nil || op == np {
		return err
	}
	return c.bumpDir(np)
}

// moved journals that an inode got another place here.
func (c *change) moved(ino tree.Ino) error {
	in, err := c.Get(ino)
	if err != nil {
		return err
	}
	in.Ctime = c.e.now().UnixNano()
	if in.Cloud != nil || c.inFlight(in.Ino) {
		in.Pending |= tree.PendingPlace
	}
	if err := c.Put(&in); err != nil {
		return err
	}
	if in.Pending == 0 {
		return nil
	}
	return c.touch(in.Ino, nil)
}

// syncBeforeReplace makes the bytes of a new file durable before it takes the
// place of an old one, so that a power cut leaves one of the two.
func (e *Engine) syncBeforeReplace(ctx context.Context, op tree.Ino, on string, np tree.Ino, nn string) error {
	if _, err := e.tree.Lookup(np, nn); err != nil {
		return nil // the transaction looks again
	}
	src, err := e.tree.Lookup(op, on)
	if err != nil || src.Kind != tree.File || src.Pending == 0 {
		return nil
	}
	if err := e.commitOpen(ctx, src.Ino); err != nil {
		return err
	}
	if err := e.staging.Sync(ctx); err != nil && !errors.Is(err, staging.ErrClosed) {
		return fmt.Errorf("syncing staged bytes: %w", err)
	}
	return nil
}
