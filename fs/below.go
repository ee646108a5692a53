package fs

import (
	"context"
	"fmt"
	"sync"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// engine is what a mount needs of *writeback.Engine; each method is explained there.
type engine interface {
	Ready(ctx context.Context) error
	Create(ctx context.Context, parent tree.Ino, name string, mode uint32) (tree.Inode, error)
	Mkdir(ctx context.Context, parent tree.Ino, name string, mode uint32) (tree.Inode, error)
	Symlink(ctx context.Context, parent tree.Ino, name, target string) (tree.Inode, error)
	Readlink(ctx context.Context, ino tree.Ino) (string, error)
	SetXattr(ctx context.Context, ino tree.Ino, name, value string, mode writeback.XattrMode) error
	RemoveXattr(ctx context.Context, ino tree.Ino, name string) error
	Unlink(ctx context.Context, parent tree.Ino, name string) error
	Rmdir(ctx context.Context, parent tree.Ino, name string) error
	Rename(ctx context.Context, op tree.Ino, on string, np tree.Ino, nn string, noReplace bool) error
	Exchange(ctx context.Context, op tree.Ino, on string, np tree.Ino, nn string) error
	SetAttr(ctx context.Context, ino tree.Ino, a writeback.Attr) (tree.Inode, error)
	Stat(ino tree.Ino) (tree.Inode, error)
	Fresh(in tree.Inode) tree.Inode
	SyncDir(ctx context.Context, ino tree.Ino) error
	Attach(origin any)
	Detach(origin any)
	Forget(origin any, ino tree.Ino)
	Statfs() (total, used int64)
	FileState(ino tree.Ino) (writeback.FileState, error)
	Versions(ino tree.Ino) ([]writeback.Version, error)
	VersionOf(h megaclient.Handle) (writeback.Version, error)
	OpenVersion(h megaclient.Handle) (*writeback.VersionReader, error)
	ShareOwner(h megaclient.UserHandle) string

	open(ctx context.Context, ino tree.Ino, write, truncate bool) (file, error)
	createOpen(ctx context.Context, parent tree.Ino, name string, mode uint32, write bool) (tree.Inode, file, error)
}

// file is what a handle needs of *writeback.File.
type file interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Lend(ctx context.Context, off, n int64) (*cache.Loan, error)
	WriteAt(ctx context.Context, p []byte, off int64) (int, error)
	Flush(ctx context.Context) error
	Fsync(ctx context.Context) error
	Grow(ctx context.Context, size int64) error
	Zero(ctx context.Context, off, n int64, grow bool) error
	FindData(off int64, hole bool) (int64, error)
	Release()

	copyFrom(ctx context.Context, src file, srcOff, off, n int64) (int64, error)
}

// table is what a mount needs of *tree.Tree.
type table interface {
	Generation() uint64
	Get(ino tree.Ino) (tree.Inode, error)
	Lookup(parent tree.Ino, name string) (tree.Inode, error)
	ReadDir(parent tree.Ino, after string, max int) ([]tree.Inode, error)
	Subscribe(fn func([]tree.Change)) (cancel func())
	Fetched() bool

	note(ctx context.Context, c tree.Change) error
}

// realEngine is the engine that mounts use; tests have another one.
type realEngine struct{ *writeback.Engine }

func (e realEngine) open(ctx context.Context, ino tree.Ino, write, truncate bool) (file, error) {
	f, err := e.Engine.Open(ctx, ino, write, truncate)
	if err != nil {
		return nil, err
	}
	return realFile{f}, nil
}

func (e realEngine) createOpen(ctx context.Context, parent tree.Ino, name string, mode uint32, write bool) (tree.Inode, file, error) {
	in, f, err := e.CreateOpen(ctx, parent, name, mode, write)
	if err != nil {
		return in, nil, err
	}
	return in, realFile{f}, nil
}

// realFile is a handle's file that mounts use.
type realFile struct{ *writeback.File }

func (f realFile) copyFrom(ctx context.Context, src file, srcOff, off, n int64) (int64, error) {
	from, ok := src.(realFile)
	if !ok {
		return 0, tree.ErrCrossShare // programs then read and write
	}
	return f.CopyFrom(ctx, from.File, srcOff, off, n)
}

// realTable is the table that mounts use.
type realTable struct{ *tree.Tree }

// marker travels through the tree's changes: whoever gets it has got all that was committed before.
type marker struct {
	of     *notifier // other mounts' get it too
	passed chan struct{}
}

// note tells the subscribers of a change behind all that were committed so far. The transaction changes nothing.
func (t realTable) note(ctx context.Context, c tree.Change) error {
	return t.Tree.Update(ctx, func(tx *tree.Tx) error {
		tx.Note(c)
		return nil
	})
}

// delivered waits until the notifier has got all changes that were committed before.
func (b *bridge) delivered(ctx context.Context) error {
	m := &marker{of: b.notify, passed: make(chan struct{})}
	if err := b.table.note(ctx, tree.Change{Origin: m}); err != nil {
		return fmt.Errorf("waiting for the tree's changes: %w", err)
	}
	select {
	case <-m.passed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.life.Done():
		return b.life.Err()
	}
}

// mounts are those of this process: each a *bridge.
var mounts sync.Map

// rewrote tells the process's other mounts that a file's bytes have changed here, as soon as they have: the kernel keeps the
// pages of each mount apart, and one that ends with the file it would make longer with zeros.
func (b *bridge) rewrote(ino tree.Ino) {
	mounts.Range(func(other, _ any) bool {
		if o := other.(*bridge); o != b && o.engine == b.engine {
			o.notify.changed(o, []tree.Change{{Ino: ino, Content: true, Attr: true}})
		}
		return true
	})
}
