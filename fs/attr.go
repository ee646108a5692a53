package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback/tree"
)

const (
	linkMode  = 0o777 // of a symbolic link: nobody looks at it
	fileMode  = 0o666 // of a file whose mode nobody set, less the umask
	dirMode   = 0o777 // of a folder whose mode nobody set, less the umask
	modeBits  = 0o777 // what is honoured of a mode from the cloud: never set-id bits
	blockSize = 128 << 10
)

// fill writes an inode's attributes in the kernel's form. MEGA has no access time, and
// reading doesn't change it here: the modification time stands in where no program has set one.
func (b *bridge) fill(out *fuse.Attr, in *tree.Inode) {
	*out = fuse.Attr{
		Ino:     b.nodeID(in.Ino),
		Mode:    b.mode(in),
		Owner:   fuse.Owner{Uid: b.uid, Gid: b.gid},
		Nlink:   1,
		Blksize: blockSize,
	}
	if in.Kind == tree.Dir {
		out.Nlink = 2
	} else {
		out.Size = uint64(max(in.Size, 0))
		out.Blocks = (out.Size + 511) / 512
	}
	if in.Removed {
		out.Nlink = 0
	}
	out.Mtime, out.Mtimensec = split(in.Mtime)
	out.Ctime, out.Ctimensec = split(in.Ctime)
	out.Atime, out.Atimensec = out.Mtime, out.Mtimensec
	if in.Atime != 0 {
		out.Atime, out.Atimensec = split(in.Atime)
	}
}

// mode is the type of an inode with the permissions that a program has set, or the usual ones less the umask.
func (b *bridge) mode(in *tree.Inode) uint32 {
	kind, usual := typeOf(in), fileMode&^b.fmask
	switch kind {
	case syscall.S_IFLNK:
		return kind | linkMode
	case syscall.S_IFDIR:
		usual = dirMode &^ b.dmask
	}
	if in.HasMode {
		return kind | in.Mode&modeBits
	}
	return kind | usual
}

// typeOf is what an inode is, in the bits that stat(2) and readdir(3) use.
func typeOf(in *tree.Inode) uint32 {
	switch {
	case in.Kind == tree.Dir:
		return syscall.S_IFDIR
	case in.IsLink():
		return syscall.S_IFLNK
	}
	return syscall.S_IFREG
}

// split turns nanoseconds since 1970 into whole seconds (two's complement before 1970) and what is left.
func split(ns int64) (sec uint64, nsec uint32) {
	s, rest := ns/int64(time.Second), ns%int64(time.Second)
	if rest < 0 {
		s, rest = s-1, rest+int64(time.Second)
	}
	return uint64(s), uint32(rest)
}

// fillEntry writes what a lookup that found something answers, with the timeouts from before the row was read.
func (b *bridge) fillEntry(out *fuse.EntryOut, in *tree.Inode, t Timeouts) {
	out.NodeId = b.nodeID(in.Ino)
	out.Generation = 0 // inode numbers are never used again
	out.SetEntryTimeout(t.Entry)
	out.SetAttrTimeout(t.Attr)
	b.fill(&out.Attr, in)
}

func (b *bridge) fillAttr(out *fuse.AttrOut, in *tree.Inode, t Timeouts) {
	out.SetTimeout(t.Attr)
	b.fill(&out.Attr, in)
}

// GetAttr answers from the tree, with the size of writes not yet committed to it.
func (b *bridge) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	t := b.timeoutsNow()
	row, err := b.engine.Stat(b.ino(in.NodeId))
	if err != nil {
		if in.NodeId == fuse.FUSE_ROOT_ID && !b.ready.Load() {
			row = tree.Inode{Ino: b.root, Kind: tree.Dir} // the first fetch hasn't brought even the root yet
		} else {
			return b.status("getattr", err)
		}
	}
	b.fillAttr(out, &row, t)
	return fuse.OK
}
