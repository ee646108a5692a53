package fs

import (
	"math"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"megadisk/writeback"
)

// Write stages bytes. It comes from write(2), and from the kernel when it cleans a shared map; then any handle that is
// open for writing stands for all of them, and it may come after FLUSH.
func (b *bridge) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	h, ok := b.files.get(in.Fh)
	if !ok {
		return 0, fuse.EBADF
	}
	if in.Offset > math.MaxInt64-uint64(len(data)) {
		return 0, b.status("write", writeback.ErrTooBig)
	}
	ctx := b.request(cancel)
	defer ctx.end()
	n, err := h.file.WriteAt(ctx, data, int64(in.Offset))
	if n > 0 {
		return uint32(n), fuse.OK // a short write: the rest comes again, and then brings the error
	}
	return 0, b.status("write", err)
}

// Fallocate makes a file as long as asked for. Space in the cloud can't be reserved, and a hint without a change of
// size is taken as such; holes and zeroed or moved ranges aren't supported.
func (b *bridge) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	switch in.Mode {
	case unix.FALLOC_FL_KEEP_SIZE:
		return fuse.OK
	case 0:
	default:
		return fuse.ENOTSUP
	}
	if in.Offset > math.MaxInt64-in.Length {
		return b.status("fallocate", writeback.ErrTooBig)
	}
	row, err := b.engine.Stat(b.ino(in.NodeId))
	if err != nil {
		return b.status("fallocate", err)
	}
	size := int64(in.Offset + in.Length)
	if size <= row.Size {
		return fuse.OK
	}
	ctx := b.request(cancel)
	defer ctx.end()
	_, err = b.engine.SetAttr(ctx, row.Ino, writeback.Attr{Size: &size})
	return b.status("fallocate", err)
}
