package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// The least that a mount can be: a FUSE mount whose one file is zeros, in memory that never changes. It does nothing with
// bytes but hand them to the kernel, in the requests that megadisk's mount gets. Read while Client.Get brings as much to
// nowhere, on the same cores, it shows what no mount can be faster than that fetches, decrypts and verifies as Get does.

const (
	zerosCommand = "serve-zeros" // runs this program as such a mount
	zerosName    = "read-big"
	zerosIno     = 2
	zerosAhead   = "2048" // KiB that the kernel reads ahead, as in megadisk's mounts
)

// zeros is the mount.
type zeros struct {
	fuse.RawFileSystem
	size uint64
	data []byte
}

// serveZeros serves it until somebody unmounts it.
func serveZeros(point, size string) error {
	n, err := strconv.ParseUint(size, 10, 63)
	if err != nil {
		return err
	}
	fs := &zeros{RawFileSystem: fuse.NewDefaultRawFileSystem(), size: n, data: make([]byte, block)}
	s, err := fuse.NewServer(fs, point, &fuse.MountOptions{
		Name: "zeros", FsName: "zeros", MaxWrite: block, MaxBackground: 64, DirectMount: true,
	})
	if err != nil {
		return err
	}
	s.Serve()
	return nil
}

func (z *zeros) attr(ino uint64, a *fuse.Attr) {
	a.Ino, a.Mode, a.Nlink = ino, unix.S_IFDIR|0o555, 2
	if ino == zerosIno {
		a.Mode, a.Nlink, a.Size = unix.S_IFREG|0o444, 1, z.size
	}
}

func (z *zeros) Lookup(_ <-chan struct{}, _ *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if name != zerosName {
		return fuse.ENOENT
	}
	out.NodeId = zerosIno
	z.attr(zerosIno, &out.Attr)
	out.SetEntryTimeout(time.Hour)
	out.SetAttrTimeout(time.Hour)
	return fuse.OK
}

func (z *zeros) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	z.attr(in.NodeId, &out.Attr)
	out.SetTimeout(time.Hour)
	return fuse.OK
}

// Open has the kernel drop the pages of the last time.
func (z *zeros) Open(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.OK }

func (z *zeros) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n := min(uint64(len(buf)), z.size-min(in.Offset, z.size))
	return zeroResult{z.data[:n]}, fuse.OK
}

// zeroResult goes to the kernel from where it lies, as megadisk's answers do.
type zeroResult struct{ data []byte }

func (r zeroResult) Size() int                          { return len(r.data) }
func (r zeroResult) Slices() ([][]byte, fuse.Status)    { return [][]byte{r.data}, fuse.OK }
func (r zeroResult) Bytes([]byte) ([]byte, fuse.Status) { return r.data, fuse.OK }
func (r zeroResult) Done()                              {}

// openZeros runs it in a process of its own. It is nil for who isn't root, and may not have the kernel read so far ahead.
func openZeros(work string, size int64) (*place, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	point := filepath.Join(work, "zeros")
	if err := os.MkdirAll(point, 0o755); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.Command(self, zerosCommand, point, strconv.FormatInt(size, 10))
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return nil, err
	}
	p := &place{name: "a FUSE mount of zeros", dir: point, close: func() {
		_ = unix.Unmount(point, unix.MNT_DETACH)
		_ = c.Wait()
	}}
	if err := awaitMount(point); err != nil {
		_ = c.Process.Kill()
		p.close()
		return nil, err
	}
	if err := readAhead(point, zerosAhead); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// readAhead sets how far the kernel reads ahead below a mount point.
func readAhead(point, kib string) error {
	var st unix.Stat_t
	if err := unix.Stat(point, &st); err != nil {
		return err
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	return os.WriteFile(filepath.Join("/sys/class/bdi", device, "read_ahead_kb"), []byte(kib), 0)
}

// bound is how fast the zeros are read while Client.Get brings as much.
func (r *reading) bound(zeros *place) (rate float64, err error) {
	return timed(float64(r.c.size)/1e6, func() error {
		var both errgroup.Group
		both.Go(func() error { _, _, err := sequential(filepath.Join(zeros.dir, zerosName)); return err })
		both.Go(func() error { return r.client.Get(context.Background(), r.big, io.Discard) })
		return both.Wait()
	})
}
