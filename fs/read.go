package fs

import (
	"errors"
	"io"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/cache"
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
	ctx := b.shortRequest(cancel)
	defer ctx.endShort()
	if len(buf) >= lendLeast {
		loan, err := h.file.Lend(ctx, int64(in.Offset), int64(len(buf)))
		if err != nil {
			return nil, b.status("read", err)
		}
		if loan != nil {
			return lent{loan}, fuse.OK
		}
	}
	n, err := h.file.ReadAt(ctx, buf, int64(in.Offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, b.status("read", err)
	}
	c := copies.Get().(*copied)
	c[0] = buf[:n]
	return c, fuse.OK
}

// copied answers a read from go-fuse's own buffer. As Slices it goes to the kernel in one call; what go-fuse has for
// that, fuse.ReadResultData, is tried as a splice first, which costs three calls more.
type copied [1][]byte

var copies = sync.Pool{New: func() any { return new(copied) }}

func (c *copied) Size() int                          { return len(c[0]) }
func (c *copied) Slices() ([][]byte, fuse.Status)    { return c[:], fuse.OK }
func (c *copied) Bytes([]byte) ([]byte, fuse.Status) { return c[0], fuse.OK }

// Done is called once the kernel has it.
func (c *copied) Done() {
	c[0] = nil
	copies.Put(c)
}

// lendLeast is the shortest read that is answered from the cache's own memory: below it a copy is cheaper.
const lendLeast = 32 << 10

// lent answers a read from the cache's memory. go-fuse passes Slices on as they are.
type lent struct{ loan *cache.Loan }

func (l lent) Size() int                       { return l.loan.Len() }
func (l lent) Slices() ([][]byte, fuse.Status) { return l.loan.Parts(), fuse.OK }
func (l lent) Done()                           { l.loan.Release() }

func (l lent) Bytes(buf []byte) ([]byte, fuse.Status) {
	buf = buf[:0]
	for _, p := range l.loan.Parts() {
		buf = append(buf, p...)
	}
	return buf, fuse.OK
}
