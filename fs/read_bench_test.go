package fs

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"megadisk/writeback/tree"
)

// zeros is an engine whose files are as long as they say and cost nothing to read.
type zeros struct{ *fake }

type zeroFile struct{ *fakeFile }

func (z zeros) open(_ context.Context, ino tree.Ino, _, _ bool) (file, error) {
	return zeroFile{&fakeFile{z.fake, ino}}, nil
}

func (zeroFile) ReadAt(_ context.Context, p []byte, _ int64) (int, error) { return len(p), nil }

// What a sequential read costs before a single byte comes from anywhere: the kernel, go-fuse, and the program that
// reads. Nothing that a mount does can be faster. "reader" is the thread that reads, the rest is the mount's side.
func BenchmarkReadOfNothing(b *testing.B) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		b.Skip("no FUSE here")
	}
	const size = 1 << 30
	f := newFake(b)
	ino := f.put(tree.DriveIno, "file", nil)
	f.rows[ino].Size = size
	dir := b.TempDir()
	s, err := mount(dir, zeros{f}, f, Options{}, os.Geteuid() == 0)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Unmount() }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	buf := make([]byte, 1<<20)
	b.SetBytes(size)
	all, own := cpu(unix.RUSAGE_SELF), cpu(unix.RUSAGE_THREAD)
	for b.Loop() {
		file, err := os.Open(filepath.Join(dir, "file"))
		if err != nil {
			b.Fatal(err)
		}
		_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{file}, buf); n != size || err != nil {
			b.Fatal(n, err)
		}
		_ = file.Close()
	}
	reader := cpu(unix.RUSAGE_THREAD) - own
	b.ReportMetric(reader/float64(b.N), "reader-s/GiB")
	b.ReportMetric((cpu(unix.RUSAGE_SELF)-all-reader)/float64(b.N), "mount-s/GiB")
}

func cpu(who int) float64 {
	var r unix.Rusage
	_ = unix.Getrusage(who, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}
