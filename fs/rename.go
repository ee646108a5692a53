package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"megadisk/writeback/tree"
)

// Rename moves a name, replacing what has the new one unless RENAME_NOREPLACE forbids it, or swaps two names
// (RENAME_EXCHANGE). Other flags are EINVAL, which rename(2) gives for what a filesystem doesn't support.
func (b *bridge) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	exchange, noReplace := in.Flags == unix.RENAME_EXCHANGE, in.Flags == unix.RENAME_NOREPLACE
	if in.Flags != 0 && !exchange && !noReplace {
		return fuse.EINVAL
	}
	if len(oldName) > maxName || len(newName) > maxName {
		return b.status("rename", tree.ErrNameTooLong)
	}
	ctx := b.request(cancel)
	defer ctx.end()
	err := b.waitReady(ctx)
	from, to := b.ino(in.NodeId), b.ino(in.Newdir)
	switch {
	case err != nil:
	case exchange:
		err = b.engine.Exchange(ctx, from, oldName, to, newName)
	default:
		err = b.engine.Rename(ctx, from, oldName, to, newName, noReplace)
	}
	return b.status("rename", err)
}
