package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback/tree"
)

// A kernel node id is our inode number, which is for life. The one exception is the mounted folder, which the kernel
// insists on calling 1 (no inode has that number).

// maxName is the longest name in bytes. FUSE itself lets 1024 through, so that each operation with a name checks.
const maxName = 255

// ino gives the inode behind a kernel node id.
func (b *bridge) ino(nodeID uint64) tree.Ino {
	if nodeID == fuse.FUSE_ROOT_ID {
		return b.root
	}
	return tree.Ino(nodeID)
}

// nodeID gives the kernel's name of an inode.
func (b *bridge) nodeID(ino tree.Ino) uint64 {
	if ino == b.root {
		return fuse.FUSE_ROOT_ID
	}
	return uint64(ino)
}
