package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"megadisk/writeback/tree"
)

// Rename moves a name, replacing what has the new one unless RENAME_NOREPLACE forbids it. Other flags are EINVAL, which
// rename(2) gives for what a filesystem doesn't support.
func (b *bridge) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if in.Flags&^unix.RENAME_NOREPLACE != 0 {
		return fuse.EINVAL
	}
	if len(oldName) > maxName || len(newName) > maxName {
		return b.status("rename", tree.ErrNameTooLong)
	}
	ctx := b.request(cancel)
	defer ctx.end()
	err := b.waitReady(ctx)
	if err == nil {
		err = b.engine.Rename(ctx, b.ino(in.NodeId), oldName, b.ino(in.Newdir), newName, in.Flags&unix.RENAME_NOREPLACE != 0)
	}
	return b.status("rename", err)
}
