// Command baddisk shows a folder as a disk that can go bad: once it has got SIGUSR1, reading, writing and syncing files
// there fails with EIO; after SIGUSR2 it is a good disk again. With the number of a change (they are counted from 1) it is a good
// disk, but that one change isn't made: who asks for it is killed, or gets EIO. What it was is told. With "cut" who asks is killed
// too, and when the disk is unmounted its folder is left as a loss of power would leave it. With "readonly" that change and all after it get
// EROFS. Tests put a state folder on it.
//
//	baddisk MOUNTPOINT FOLDER [kill|fail|cut|readonly CHANGE]
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

var bad atomic.Bool

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range signals {
			bad.Store(s == syscall.SIGUSR1)
		}
	}()
	if len(os.Args) > 4 {
		kills = os.Args[3] == "kill" || os.Args[3] == "cut"
		turns = os.Args[3] == "readonly"
		if os.Args[3] == "cut" {
			supply = &power{files: map[uint64]*synced{}}
		}
		chosen, _ = strconv.ParseInt(os.Args[4], 10, 64)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(point, folder string) error {
	root, err := fs.NewLoopbackRoot(folder)
	if err != nil {
		return err
	}
	server, err := fs.Mount(point, &node{root.(*fs.LoopbackNode)}, &fs.Options{MountOptions: fuse.MountOptions{FsName: "baddisk", DirectMount: true}})
	if err != nil {
		return err
	}
	server.Wait()
	if supply != nil {
		return supply.cut(folder)
	}
	return nil
}

// supply is set when it will be cut.
var supply *power

// The change that isn't made, 0 for none, and whether it kills who asks for it, or turns the disk read-only.
var (
	chosen       int64
	kills, turns bool
)

var (
	changes  atomic.Int64
	readOnly atomic.Bool
)

// change is asked before each change; an errno keeps it from being made.
func change(ctx context.Context, what string) syscall.Errno {
	caller, _ := fuse.FromContext(ctx)
	hit := caller.Pid != 0 && changes.Add(1) == chosen // 0: the kernel writes a page that was changed in memory
	if hit {
		fmt.Println(what)
		readOnly.Store(turns)
	}
	switch {
	case readOnly.Load():
		return syscall.EROFS
	case !hit:
		return failure()
	case kills:
		_ = syscall.Kill(int(caller.Pid), syscall.SIGKILL)
	}
	return syscall.EIO
}

// failure is what the disk answers.
func failure() syscall.Errno {
	if bad.Load() {
		return syscall.EIO
	}
	return 0
}

// node is a file or folder of the disk.
type node struct{ *fs.LoopbackNode }

// WrapChild makes all below it such nodes too.
func (n *node) WrapChild(_ context.Context, below fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{below.(*fs.LoopbackNode)}
}

// Open opens a file.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, more, errno := n.LoopbackNode.Open(ctx, flags)
	if supply != nil && errno == 0 && flags&syscall.O_TRUNC != 0 {
		supply.resized(n.StableAttr().Ino, 0, false)
	}
	return wrap(h), more, errno
}

// Create makes one.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := change(ctx, "create "+name); errno != 0 {
		return nil, nil, 0, errno
	}
	in, h, more, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if supply != nil && errno == 0 {
		supply.made(out.Ino)
	}
	return in, wrap(h), more, errno
}

// Setattr is also how a file is cut or made longer.
func (n *node) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if errno := change(ctx, "setattr"); errno != 0 {
		return errno
	}
	if f, ok := h.(*file); ok {
		h = f.good
	}
	errno := n.LoopbackNode.Setattr(ctx, h, in, out)
	if size, ok := in.GetSize(); supply != nil && errno == 0 && ok {
		supply.resized(out.Ino, int64(size), false)
	}
	return errno
}

// Mkdir makes a folder.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := change(ctx, "mkdir "+name); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

// Unlink removes a file.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if errno := change(ctx, "unlink "+name); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

// Rename gives a file another name.
func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if errno := change(ctx, "rename "+name+" to "+newName); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Rename(ctx, name, to, newName, flags)
}

// good is what a good file can do; above all it doesn't hand itself to the kernel.
type good interface {
	fs.FileReader
	fs.FileWriter
	fs.FileFsyncer
	fs.FileFlusher
	fs.FileReleaser
	fs.FileGetattrer
	fs.FileSetattrer
	fs.FileAllocater
	fs.FileLseeker
}

// file is an open file of the disk.
type file struct{ good }

func wrap(h fs.FileHandle) fs.FileHandle {
	if g, ok := h.(good); ok {
		return &file{g}
	}
	return h
}

// Read reads, or fails.
func (f *file) Read(ctx context.Context, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := failure(); errno != 0 {
		return nil, errno
	}
	return f.good.Read(ctx, p, off)
}

// Write writes, or fails.
func (f *file) Write(ctx context.Context, p []byte, off int64) (uint32, syscall.Errno) {
	if errno := change(ctx, "write"); errno != 0 {
		return 0, errno
	}
	return f.good.Write(ctx, p, off)
}

// Fsync syncs, or fails.
func (f *file) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if errno := change(ctx, "fsync"); errno != 0 {
		return errno
	}
	errno := f.good.Fsync(ctx, flags)
	if supply != nil && errno == 0 {
		fd, _ := f.good.(fs.FilePassthroughFder).PassthroughFd()
		errno = fs.ToErrno(supply.wrote(fd))
	}
	return errno
}

// Allocate takes room, or fails.
func (f *file) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	if errno := change(ctx, "allocate"); errno != 0 {
		return errno
	}
	errno := f.good.Allocate(ctx, off, size, mode)
	var attr fuse.AttrOut
	if supply != nil && errno == 0 && f.good.Getattr(ctx, &attr) == 0 {
		supply.resized(attr.Ino, int64(attr.Size), true)
	}
	return errno
}
