package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

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
