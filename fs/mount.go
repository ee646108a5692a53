package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"megadisk/writeback/tree"
)

// What Mount and Unmount fail with comes as a *MountError around one of these, so that the command line can say what
// to do about it.
var (
	ErrNoMountpoint = errors.New("the mount point doesn't exist")
	ErrNotDirectory = errors.New("the mount point is not a folder")
	ErrMounted      = errors.New("something is already mounted there")
	ErrStale        = errors.New("a mount whose process died is still there")
	ErrNoFuse       = errors.New("this system has no FUSE (/dev/fuse is missing)")
	ErrFuseDenied   = errors.New("this user may not use FUSE (/dev/fuse can't be opened)")
	ErrNoHelper     = errors.New("fusermount3 is missing")
	ErrOldHelper    = errors.New("fusermount3 is too old: version 2.9 or newer is needed (package fuse3)")
	ErrBadHelper    = errors.New("fusermount3 doesn't work (`megadisk doctor` looks at it; installing fuse3 again may help)")
	ErrBusy         = errors.New("a program is using the mount")
)

// MountError says which mount point it was. A folder that isn't empty is no error: its content is hidden meanwhile.
type MountError struct {
	Op   string // "mount" or "unmount"
	Path string
	Err  error
}

// Error names the mount point and the cause.
func (e *MountError) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Err) }

// Unwrap gives the cause.
func (e *MountError) Unwrap() error { return e.Err }

const (
	maxWrite      = 1 << 20 // bytes in one WRITE
	maxBackground = 64      // reads ahead that the kernel has in flight, each of which may wait for the network
)

// Server is one mount. It ends with Unmount, or when somebody unmounts it with umount(8) or fusermount3.
type Server struct {
	bridge *bridge
	fuse   *fuse.Server
	path   string
	direct bool // mounted without fusermount3

	unsubscribe func()
	ended       chan struct{}  // closed when everything of the mount is over
	helpers     sync.WaitGroup // the goroutine that waits for the first tree
}

// Mount mounts a folder of an account and returns when the kernel can use it. Errors: a *MountError.
func Mount(mountpoint string, o Options) (*Server, error) {
	return mount(mountpoint, realEngine{o.Engine}, realTable{o.Engine.Tree()}, o, os.Geteuid() == 0)
}

func mount(mountpoint string, e engine, t table, o Options, direct bool) (*Server, error) {
	fail := func(err error) (*Server, error) {
		return nil, &MountError{Op: "mount", Path: mountpoint, Err: err}
	}
	path, err := checkMountpoint(mountpoint)
	if err != nil {
		return fail(err)
	}
	if err := checkFuse(direct); err != nil {
		return fail(err)
	}
	b := newBridge(e, t, o)
	s := &Server{bridge: b, path: path, direct: direct, ended: make(chan struct{})}
	var raw fuse.RawFileSystem = front{b}
	if o.Observe != nil {
		raw = observed{raw, o.Observe}
	}
	if s.fuse, err = newServer(raw, path, b.mountOptions(o, direct), direct); err != nil {
		b.end()
		return fail(err)
	}
	s.serve() // the kernel's first request has been answered: it can be used
	if direct {
		widenReadAhead(path)
	}
	return s, nil
}

// serve starts everything that a mount consists of; over ends it.
func (s *Server) serve() {
	b := s.bridge
	mounts.Store(b, nil)
	b.engine.Attach(b)
	b.notify.start(s.fuse)
	b.ready.Store(b.table.Fetched())
	s.unsubscribe = b.table.Subscribe(func(changes []tree.Change) { b.notify.changed(b, changes) })
	s.helpers.Add(1)
	go func() {
		defer s.helpers.Done()
		_ = b.waitReady(b.life) // fails only when the mount ends before
	}()
	go func() {
		defer close(s.ended)
		s.fuse.Serve()
		s.over()
	}()
}

// over runs when the kernel has let go of the mount. Handles that it didn't release (a forced unmount) are ours to
// release, and it knows no inode any more.
func (s *Server) over() {
	b := s.bridge
	b.end()
	mounts.Delete(b)
	s.unsubscribe()
	b.notify.stop()
	b.walks.stop()
	s.helpers.Wait()
	for _, h := range b.files.drain() {
		b.release(h)
	}
	b.dirs.drain()
	b.engine.Detach(b)
}

// UseHere prepares the kernel for a process that opens files of its own mount, as tests do: such files can't be
// polled. The program must not call it: a process that is killed while it waits for its own mount leaves a mount that
// nothing can end.
func (s *Server) UseHere() error { return s.fuse.WaitMount() }

// Path gives the mount point.
func (s *Server) Path() string { return s.path }

// Wait returns when the mount has ended, however that came.
func (s *Server) Wait() { <-s.ended }

// Done is closed when the mount has ended.
func (s *Server) Done() <-chan struct{} { return s.ended }

// Settled waits until the kernel has been told of all changes that were committed before.
func (s *Server) Settled(ctx context.Context) error {
	if err := s.bridge.delivered(ctx); err != nil {
		return err
	}
	return s.bridge.notify.settled(ctx)
}

// Unmount ends the mount. It fails with ErrBusy, and the mount goes on, while a program has something open in it or
// stands in it. On a mount that has ended it does nothing.
func (s *Server) Unmount() error {
	select {
	case <-s.ended:
		return nil
	default:
	}
	if err := unmount(s.path, s.direct); err != nil {
		select {
		case <-s.ended: // somebody else was faster
			return nil
		default:
			return &MountError{Op: "unmount", Path: s.path, Err: err}
		}
	}
	s.bridge.end() // what still waits for the network has nobody to answer
	<-s.ended
	return nil
}

// kernelFlags are the flags of a mount that may be asked for.
var kernelFlags = map[string]uintptr{"noexec": unix.MS_NOEXEC, "sync": unix.MS_SYNCHRONOUS, "dirsync": unix.MS_DIRSYNC}

// mountOptions is what go-fuse and the kernel must be told; doc.go says why.
func (b *bridge) mountOptions(o Options, direct bool) *fuse.MountOptions {
	m := &fuse.MountOptions{
		AllowOther:               o.AllowOther,
		Options:                  []string{"default_permissions"},
		MaxWrite:                 maxWrite,
		MaxBackground:            maxBackground,
		FsName:                   o.FsName,
		Name:                     "megadisk", // the type is fuse.megadisk
		ExplicitDataCacheControl: true,
		// KILLPRIV_V2: the kernel leaves dropping set-id bits to us, who never show any, and so doesn't ask
		// security.capability before each write. NO_EXPORT_SUPPORT: NFS can't export it. A file handle would be good only as
		// long as the kernel remembers the inode.
		ExtraCapabilities: fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_HANDLE_KILLPRIV_V2 | fuse.CAP_NO_EXPORT_SUPPORT,
		DirectMountStrict: direct,
		PanicHandler:      b.panicked,
		Debug:             o.Debug,
		Logger:            redactedLog(b.log),
	}
	if m.FsName == "" {
		m.FsName = "megadisk"
	}
	if !direct {
		m.Options = append(m.Options, o.Flags...)
	}
	if direct {
		m.DirectMountFlags = unix.MS_NOSUID | unix.MS_NODEV
		if o.ReadOnly {
			m.DirectMountFlags |= unix.MS_RDONLY
		}
		for _, name := range o.Flags {
			m.DirectMountFlags |= kernelFlags[name]
		}
	} else if o.ReadOnly { // fusermount3 adds nosuid and nodev by itself
		m.Options = append(m.Options, "ro")
	}
	return m
}

// checkMountpoint gives the absolute path of a folder on which can be mounted.
func checkMountpoint(mountpoint string) (string, error) {
	info, err := os.Stat(mountpoint)
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return "", ErrStale
	case errors.Is(err, os.ErrNotExist):
		return "", ErrNoMountpoint
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", ErrNotDirectory
	}
	path, err := filepath.Abs(mountpoint)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", err
	}
	kind, ok, err := mountAt(path)
	if err != nil {
		return "", err
	}
	if ok && kind != "autofs" { // systemd's automount waits there for us
		return "", ErrMounted
	}
	return path, nil
}
