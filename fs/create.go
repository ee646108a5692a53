package fs

import (
	"context"
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// Mknod makes a regular file; MEGA has nothing that could be a device, a fifo or a socket.
func (b *bridge) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if kind := in.Mode & syscall.S_IFMT; kind != 0 && kind != syscall.S_IFREG {
		return fuse.EPERM
	}
	return b.make(cancel, in.NodeId, name, out, "mknod", func(ctx context.Context, parent tree.Ino) (tree.Inode, error) {
		return b.engine.Create(ctx, parent, name, wish(in.Mode, in.Umask, 0o666))
	})
}

// wish is the mode of a creation, told apart by whether the program wanted just that one, or whatever is left of the
// usual bits. The kernel has taken the umask off already.
func wish(mode, umask, usual uint32) uint32 {
	if mode &= modeBits; mode != usual&^umask {
		return mode
	}
	return mode | writeback.ModeUsual
}

// Mkdir makes a folder.
func (b *bridge) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return b.make(cancel, in.NodeId, name, out, "mkdir", func(ctx context.Context, parent tree.Ino) (tree.Inode, error) {
		return b.engine.Mkdir(ctx, parent, name, wish(in.Mode, in.Umask, 0o777))
	})
}

// make is what all creations share.
func (b *bridge) make(cancel <-chan struct{}, parent uint64, name string, out *fuse.EntryOut, what string,
	create func(context.Context, tree.Ino) (tree.Inode, error)) fuse.Status {
	if len(name) > maxName {
		return b.status(what, tree.ErrNameTooLong)
	}
	ctx := b.request(cancel)
	defer ctx.end()
	if err := b.waitReady(ctx); err != nil {
		return b.status(what, err)
	}
	row, err := create(ctx, b.ino(parent))
	if err != nil {
		return b.status(what, err)
	}
	b.fillEntry(out, &row, b.timeoutsNow())
	return fuse.OK
}

// Create makes a file and opens it. Where another client made that name meanwhile, the kernel's "not there" was stale:
// without O_EXCL the file that is there is opened, as open(2) says.
func (b *bridge) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	var opened *fileHandle
	pages := uint32(fuse.FOPEN_KEEP_CACHE)
	status := b.make(cancel, in.NodeId, name, &out.EntryOut, "create", func(ctx context.Context, parent tree.Ino) (tree.Inode, error) {
		write := writes(in.Flags)
		row, f, err := b.engine.createOpen(ctx, parent, name, wish(in.Mode, in.Umask, 0o666), write)
		if errors.Is(err, tree.ErrExist) && in.Flags&syscall.O_EXCL == 0 {
			row, err = b.openExisting(ctx, parent, name, in.Flags, &opened)
			if err == nil {
				pages = b.pages(ctx, row.Ino) // the kernel may have some, under the name that it had before
			}
			return row, err
		}
		if err != nil {
			return row, err
		}
		b.notify.opened(row.Ino)
		opened = b.addHandle(row.Ino, f)
		return row, nil
	})
	if status.Ok() {
		out.Fh, out.OpenFlags = opened.id, pages
	}
	return status
}

// openExisting opens a file that exists although the kernel asked for its creation. The kernel takes it for new, so
// that O_TRUNC is ours to do.
func (b *bridge) openExisting(ctx context.Context, parent tree.Ino, name string, flags uint32, opened **fileHandle) (tree.Inode, error) {
	row, err := b.lookup(ctx, parent, name)
	if err != nil {
		return row, err
	}
	switch {
	case row.Kind != tree.File:
		return row, tree.ErrIsDir
	case row.IsLink():
		return row, tree.ErrStale // the kernel looks once more, and follows it
	}
	h, err := b.open(ctx, row.Ino, flags)
	if err != nil {
		return row, err
	}
	*opened = h
	return b.fresh(row), nil
}

// Link is refused: a MEGA node has one parent.
func (b *bridge) Link(<-chan struct{}, *fuse.LinkIn, string, *fuse.EntryOut) fuse.Status {
	return fuse.EPERM
}
