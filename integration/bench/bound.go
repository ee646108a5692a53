package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// The least that a mount can be: a FUSE mount whose one file is the same block of memory again and again. It does nothing with
// bytes but hand them to the kernel, in the requests that megadisk's mount gets. Read while Client.Get brings as much to
// nowhere, on the same cores, it shows what no mount can be faster than that fetches, decrypts and verifies as Get does.

const (
	noiseCommand = "serve-noise" // runs this program as such a mount
	noiseName    = "read-big"
	noiseIno     = 2
	noiseAhead   = "2048" // KiB that the kernel reads ahead, as in megadisk's mounts
)

// noise is the mount.
type noise struct {
	fuse.RawFileSystem
	size uint64
	data []byte
}

// serveNoise serves it until somebody unmounts it.
func serveNoise(point, size string) error {
	n, err := strconv.ParseUint(size, 10, 63)
	if err != nil {
		return err
	}
	fs := &noise{RawFileSystem: fuse.NewDefaultRawFileSystem(), size: n, data: make([]byte, block)}
	_, _ = rand.NewChaCha8([32]byte{2}).Read(fs.data)
	s, err := fuse.NewServer(fs, point, &fuse.MountOptions{
		Name: "noise", FsName: "noise", MaxWrite: block, MaxBackground: 64, DirectMount: true,
	})
	if err != nil {
		return err
	}
	s.Serve()
	return nil
}

func (n *noise) attr(ino uint64, a *fuse.Attr) {
	a.Ino, a.Mode, a.Nlink = ino, unix.S_IFDIR|0o555, 2
	if ino == noiseIno {
		a.Mode, a.Nlink, a.Size = unix.S_IFREG|0o444, 1, n.size
	}
}

func (n *noise) Lookup(_ <-chan struct{}, _ *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if name != noiseName {
		return fuse.ENOENT
	}
	out.NodeId = noiseIno
	n.attr(noiseIno, &out.Attr)
	out.SetEntryTimeout(time.Hour)
	out.SetAttrTimeout(time.Hour)
	return fuse.OK
}

func (n *noise) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n.attr(in.NodeId, &out.Attr)
	out.SetTimeout(time.Hour)
	return fuse.OK
}

// Open has the kernel keep its pages, as megadisk's mounts do.
func (n *noise) Open(_ <-chan struct{}, _ *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

func (n *noise) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	k := min(uint64(len(buf)), n.size-min(in.Offset, n.size))
	return sameResult{n.data[:k]}, fuse.OK
}

// sameResult goes to the kernel from where it lies, as megadisk's answers do.
type sameResult struct{ data []byte }

func (r sameResult) Size() int                          { return len(r.data) }
func (r sameResult) Slices() ([][]byte, fuse.Status)    { return [][]byte{r.data}, fuse.OK }
func (r sameResult) Bytes([]byte) ([]byte, fuse.Status) { return r.data, fuse.OK }
func (r sameResult) Done()                              {}

// openNoise runs it in a process of its own. It is nil for who isn't root, and may not have the kernel read so far ahead.
func openNoise(work string, size int64) (*place, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	point := filepath.Join(work, "noise")
	if err := os.MkdirAll(point, 0o755); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.Command(self, noiseCommand, point, strconv.FormatInt(size, 10))
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return nil, err
	}
	drop := func() error { return dropCaches(point) }
	p := &place{name: "a mount of one block", dir: point, drop: drop, close: func() {
		_ = unix.Unmount(point, unix.MNT_DETACH)
		_ = c.Wait()
	}}
	if err := awaitMount(point); err != nil {
		_ = c.Process.Kill()
		p.close()
		return nil, err
	}
	if err := readAhead(point, noiseAhead); err != nil {
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

// bound is how fast that is read while Client.Get brings as much.
func (r *reading) bound(noise *place) (rate float64, err error) {
	file, err := os.Open(filepath.Join(noise.dir, noiseName))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if err := unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return 0, err
	}
	return timed(float64(r.c.size)/1e6, func() error {
		var both errgroup.Group
		both.Go(func() error { _, _, err := sequentialOf(file); return err })
		both.Go(func() error { return r.client.Get(context.Background(), r.big, io.Discard) })
		return both.Wait()
	})
}
