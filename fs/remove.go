package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback/tree"
)

// Unlink removes a file's name; who has it open goes on reading and writing it.
func (b *bridge) Unlink(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return b.remove(cancel, header.NodeId, name, "unlink", b.engine.Unlink)
}

// Rmdir removes an empty folder.
func (b *bridge) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return b.remove(cancel, header.NodeId, name, "rmdir", b.engine.Rmdir)
}

func (b *bridge) remove(cancel <-chan struct{}, parent uint64, name, what string,
	remove func(context.Context, tree.Ino, string) error) fuse.Status {
	if len(name) > maxName {
		return b.status(what, tree.ErrNameTooLong)
	}
	ctx := b.request(cancel)
	defer ctx.end()
	err := b.waitReady(ctx)
	if err == nil {
		err = remove(ctx, b.ino(parent), name)
	}
	return b.status(what, err)
}
