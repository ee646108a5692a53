package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// Reads opens a file as the kernel does and gives what answers its reads: all of a read but go-fuse and the kernel.
func (s *Server) Reads(ino tree.Ino) (read func(buf []byte, off int64) (int, bool), release func()) {
	b, never := s.bridge, make(chan struct{})
	var out fuse.OpenOut
	if !b.Open(never, &fuse.OpenIn{InHeader: fuse.InHeader{NodeId: b.nodeID(ino)}}, &out).Ok() {
		return nil, nil
	}
	in := fuse.ReadIn{Fh: out.Fh}
	read = func(buf []byte, off int64) (int, bool) {
		in.Offset = uint64(off)
		r, status := b.Read(never, &in, buf)
		if !status.Ok() {
			return 0, false
		}
		defer r.Done()
		return r.Size(), true
	}
	return read, func() { b.Release(never, &fuse.ReleaseIn{Fh: out.Fh}) }
}

// Allocate is fallocate(2) from the beginning of a file, in a mount of its own; another one does something before each
// thing that this one asks of the engine.
func Allocate(e *writeback.Engine, ino tree.Ino, size uint64, other func()) fuse.Status {
	b := newBridge(beside{realEngine{e}, other}, realTable{e.Tree()}, Options{})
	defer b.end()
	h, err := b.open(context.Background(), ino, syscall.O_WRONLY)
	if err != nil {
		return b.status("open", err)
	}
	defer b.release(h)
	return b.Fallocate(make(chan struct{}), &fuse.FallocateIn{Fh: h.id, Length: size})
}

// beside is an engine with which another mount works too.
type beside struct {
	engine
	other func()
}

func (e beside) open(ctx context.Context, ino tree.Ino, write, truncate bool) (file, error) {
	f, err := e.engine.open(ctx, ino, write, truncate)
	return fileBeside{f, e.other}, err
}

func (e beside) Stat(ino tree.Ino) (tree.Inode, error) {
	e.other()
	return e.engine.Stat(ino)
}

func (e beside) SetAttr(ctx context.Context, ino tree.Ino, a writeback.Attr) (tree.Inode, error) {
	e.other()
	return e.engine.SetAttr(ctx, ino, a)
}

type fileBeside struct {
	file
	other func()
}

func (f fileBeside) Grow(ctx context.Context, size int64) error {
	f.other()
	return f.file.Grow(ctx, size)
}
