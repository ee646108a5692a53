package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// observed tells how each request of the kernel went: which kind, how long it took, and its errno by name ("" if none).
type observed struct {
	fuse.RawFileSystem
	tell func(kind string, took time.Duration, errno string)
}

// done notes the end of a request that began then. ENOENT from a lookup and ERANGE, ENODATA from xattrs are answers like
// others, and told as they are.
func (o observed) done(kind string, began time.Time, status fuse.Status) fuse.Status {
	errno := ""
	if !status.Ok() {
		errno = unix.ErrnoName(syscall.Errno(status))
	}
	o.tell(kind, time.Since(began), errno)
	return status
}

// Lookup is observed.
func (o observed) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	return o.done("lookup", began, o.RawFileSystem.Lookup(cancel, header, name, out))
}

// GetAttr is observed.
func (o observed) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	began := time.Now()
	return o.done("getattr", began, o.RawFileSystem.GetAttr(cancel, in, out))
}

// SetAttr is observed.
func (o observed) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	began := time.Now()
	return o.done("setattr", began, o.RawFileSystem.SetAttr(cancel, in, out))
}

// Mkdir is observed.
func (o observed) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	return o.done("mkdir", began, o.RawFileSystem.Mkdir(cancel, in, name, out))
}

// Unlink is observed.
func (o observed) Unlink(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	began := time.Now()
	return o.done("unlink", began, o.RawFileSystem.Unlink(cancel, header, name))
}

// Rmdir is observed.
func (o observed) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	began := time.Now()
	return o.done("rmdir", began, o.RawFileSystem.Rmdir(cancel, header, name))
}

// Rename is observed.
func (o observed) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	began := time.Now()
	return o.done("rename", began, o.RawFileSystem.Rename(cancel, in, from, to))
}

// Symlink is observed.
func (o observed) Symlink(cancel <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	return o.done("symlink", began, o.RawFileSystem.Symlink(cancel, header, target, name, out))
}

// SetXAttr is observed.
func (o observed) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	began := time.Now()
	return o.done("setxattr", began, o.RawFileSystem.SetXAttr(cancel, in, attr, data))
}

// RemoveXAttr is observed.
func (o observed) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string) fuse.Status {
	began := time.Now()
	return o.done("removexattr", began, o.RawFileSystem.RemoveXAttr(cancel, header, attr))
}

// Create is observed.
func (o observed) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	began := time.Now()
	return o.done("create", began, o.RawFileSystem.Create(cancel, in, name, out))
}

// Open is observed.
func (o observed) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	began := time.Now()
	return o.done("open", began, o.RawFileSystem.Open(cancel, in, out))
}

// Flush is observed.
func (o observed) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	began := time.Now()
	return o.done("flush", began, o.RawFileSystem.Flush(cancel, in))
}

// Fsync is observed.
func (o observed) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	began := time.Now()
	return o.done("fsync", began, o.RawFileSystem.Fsync(cancel, in))
}

// FsyncDir is observed.
func (o observed) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	began := time.Now()
	return o.done("fsyncdir", began, o.RawFileSystem.FsyncDir(cancel, in))
}

// Fallocate is observed.
func (o observed) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	began := time.Now()
	return o.done("fallocate", began, o.RawFileSystem.Fallocate(cancel, in))
}

// OpenDir is observed.
func (o observed) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	began := time.Now()
	return o.done("opendir", began, o.RawFileSystem.OpenDir(cancel, in, out))
}

// ReadDir is observed.
func (o observed) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	began := time.Now()
	return o.done("readdir", began, o.RawFileSystem.ReadDir(cancel, in, out))
}

// ReadDirPlus is observed.
func (o observed) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	began := time.Now()
	return o.done("readdir", began, o.RawFileSystem.ReadDirPlus(cancel, in, out))
}

// StatFs is observed.
func (o observed) StatFs(cancel <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	began := time.Now()
	return o.done("statfs", began, o.RawFileSystem.StatFs(cancel, header, out))
}

// Readlink is observed.
func (o observed) Readlink(cancel <-chan struct{}, header *fuse.InHeader) (target []byte, status fuse.Status) {
	began := time.Now()
	target, status = o.RawFileSystem.Readlink(cancel, header)
	return target, o.done("readlink", began, status)
}

// GetXAttr is observed.
func (o observed) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string, dest []byte) (n uint32, status fuse.Status) {
	began := time.Now()
	n, status = o.RawFileSystem.GetXAttr(cancel, header, attr, dest)
	return n, o.done("getxattr", began, status)
}

// ListXAttr is observed.
func (o observed) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, dest []byte) (n uint32, status fuse.Status) {
	began := time.Now()
	n, status = o.RawFileSystem.ListXAttr(cancel, header, dest)
	return n, o.done("listxattr", began, status)
}

// Read is observed.
func (o observed) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (r fuse.ReadResult, status fuse.Status) {
	began := time.Now()
	r, status = o.RawFileSystem.Read(cancel, in, buf)
	return r, o.done("read", began, status)
}

// Write is observed.
func (o observed) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (n uint32, status fuse.Status) {
	began := time.Now()
	n, status = o.RawFileSystem.Write(cancel, in, data)
	return n, o.done("write", began, status)
}

// Writev is observed.
func (o observed) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (n uint32, status fuse.Status) {
	began := time.Now()
	n, status = o.RawFileSystem.Writev(cancel, in, data)
	return n, o.done("write", began, status)
}

// CopyFileRange is observed.
func (o observed) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (n uint32, status fuse.Status) {
	began := time.Now()
	n, status = o.RawFileSystem.CopyFileRange(cancel, in)
	return n, o.done("copy", began, status)
}
