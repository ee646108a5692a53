package fs

import (
	"math"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"megadisk/writeback"
)

// Fallocate makes a file longer, or makes zeros in it. Space in the cloud can't be reserved: allocating without a
// change of size is taken as the hint that it is. Ranges that move what follows them aren't supported.
func (b *bridge) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	if in.Offset > math.MaxInt64 || in.Length > math.MaxInt64-in.Offset {
		return b.status("fallocate", writeback.ErrTooBig)
	}
	h, ok := b.files.get(in.Fh)
	if !ok {
		return fuse.EBADF
	}
	ctx := b.request(cancel)
	defer ctx.end()
	off, n := int64(in.Offset), int64(in.Length)
	keep := in.Mode&unix.FALLOC_FL_KEEP_SIZE != 0
	switch in.Mode &^ unix.FALLOC_FL_KEEP_SIZE {
	case 0:
		if keep {
			return fuse.OK
		}
		return b.status("fallocate", h.file.Grow(ctx, off+n))
	case unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_ZERO_RANGE:
		err := h.file.Zero(ctx, off, n, !keep)
		b.rewrote(h.ino)
		return b.status("fallocate", err)
	}
	return fuse.ENOTSUP
}

// Lseek finds data and holes; the other kinds of seeking are the kernel's.
func (b *bridge) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	if in.Whence != unix.SEEK_DATA && in.Whence != unix.SEEK_HOLE {
		return fuse.EINVAL
	}
	h, ok := b.files.get(in.Fh)
	if !ok {
		return fuse.EBADF
	}
	if in.Offset > math.MaxInt64 {
		return b.status("lseek", writeback.ErrNoData)
	}
	at, err := h.file.FindData(int64(in.Offset), in.Whence == unix.SEEK_HOLE)
	if err != nil {
		return b.status("lseek", err)
	}
	out.Offset = uint64(at)
	return fuse.OK
}

// CopyFileRange copies within the mount, where that can be done without moving the bytes through this process.
func (b *bridge) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	from, ok := b.files.get(in.FhIn)
	to, also := b.files.get(in.FhOut)
	if !ok || !also {
		return 0, fuse.EBADF
	}
	n := min(in.Len, math.MaxUint32&^4095)
	if in.OffIn > math.MaxInt64-n || in.OffOut > math.MaxInt64-n {
		return 0, b.status("copy", writeback.ErrTooBig)
	}
	ctx := b.request(cancel)
	defer ctx.end()
	done, err := to.file.copyFrom(ctx, from.file, int64(in.OffIn), int64(in.OffOut), int64(n))
	if err != nil {
		return 0, b.status("copy", err)
	}
	b.rewrote(to.ino)
	return uint32(done), fuse.OK
}
