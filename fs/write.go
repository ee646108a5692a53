package fs

import (
	"math"

	"github.com/hanwen/go-fuse/v2/fuse"

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
		b.rewrote(h.ino)
		return uint32(n), fuse.OK // a short write: the rest comes again, and then brings the error
	}
	return 0, b.status("write", err)
}
