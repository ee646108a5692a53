package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback/tree"
)

// Symlink makes a symbolic link. Where it leads is the kernel's business alone: nothing in this process follows one.
func (b *bridge) Symlink(cancel <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	return b.make(cancel, header.NodeId, name, out, "symlink", func(ctx context.Context, parent tree.Ino) (tree.Inode, error) {
		return b.engine.Symlink(ctx, parent, name, target)
	})
}

// Readlink gives a link's target. It waits only for one that is nowhere here yet.
func (b *bridge) Readlink(cancel <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	ctx := b.request(cancel)
	defer ctx.end()
	target, err := b.engine.Readlink(ctx, b.ino(header.NodeId))
	return []byte(target), b.status("readlink", err)
}
