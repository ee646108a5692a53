package fs

import (
	"errors"
	"io"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Read answers with the bytes at an offset; fewer than asked for means the end of the file. Only bytes that are
// nowhere here make it wait, and that wait can be interrupted.
func (b *bridge) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h, ok := b.files.get(in.Fh)
	if !ok {
		return nil, fuse.EBADF
	}
	if !h.begun.Load() && !h.begun.Swap(true) {
		b.walks.read(h.ino)
	}
	ctx := b.request(cancel)
	defer ctx.end()
	n, err := h.file.ReadAt(ctx, buf, int64(in.Offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, b.status("read", err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}
