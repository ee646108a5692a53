package fs_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/harness"
	"megadisk/megaclient/megatest"
)

func TestWhatIsWrittenIsReadAndGoesUp(t *testing.T) {
	h := harness.New(t)
	contents := map[string][]byte{}
	for _, size := range []int{0, 1, 4096, 128 << 10, 128<<10 + 1, 3<<20 + 5} {
		name := fmt.Sprint("size ", size)
		contents[name] = pattern(uint64(size), size)
		write(t, h.Path(name), contents[name])
	}
	for name, want := range contents {
		requireContent(t, want, h.Path(name))
	}
	h.Drain()
	for name, want := range contents {
		requireInCloud(t, h, want, name)
		requireContent(t, want, h.Path(name))
	}
}

// TestRandomWrites does the same to a file in the mount and to one in a plain folder.
func TestRandomWrites(t *testing.T) {
	base := pattern(1, 700<<10)
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "f", base, mtime)
	}))
	plain := filepath.Join(t.TempDir(), "f")
	write(t, plain, base)
	open := func(path string) *os.File {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		return f
	}
	ours, theirs := open(h.Path("f")), open(plain)
	both := func(what string, do func(f *os.File) (string, error)) {
		t.Helper()
		want, err := do(theirs)
		require.NoError(t, err, what)
		got, err := do(ours)
		require.NoError(t, err, what)
		require.True(t, want == got, "%s: the mount gives something else", what)
	}
	r := rand.New(rand.NewPCG(7, 7))
	for step := range 400 {
		off, n := r.Int64N(800<<10), r.IntN(100<<10)
		switch r.IntN(10) {
		case 0, 1, 2, 3:
			data := pattern(uint64(step), n)
			both("write", func(f *os.File) (string, error) { _, err := f.WriteAt(data, off); return "", err })
		case 4:
			both("truncate", func(f *os.File) (string, error) { return "", f.Truncate(off) })
		case 5:
			both("append", func(f *os.File) (string, error) {
				if _, err := f.Seek(0, io.SeekEnd); err != nil {
					return "", err
				}
				_, err := f.Write(pattern(uint64(step), n/10))
				return "", err
			})
		case 6:
			ours, theirs = reopen(t, ours), reopen(t, theirs)
		case 7:
			if r.IntN(8) == 0 {
				h.Drain()
			} else {
				both("fsync", func(f *os.File) (string, error) { return "", f.Sync() })
			}
		default:
			both("read", func(f *os.File) (string, error) {
				buf := make([]byte, n)
				got, err := f.ReadAt(buf, off)
				if err == io.EOF {
					err = nil
				}
				info, statErr := f.Stat()
				if statErr != nil {
					return "", statErr
				}
				return fmt.Sprint(info.Size(), got) + string(buf[:got]), err
			})
		}
	}
	require.NoError(t, ours.Close())
	require.NoError(t, theirs.Close())
	want, err := os.ReadFile(plain)
	require.NoError(t, err)
	requireContent(t, want, h.Path("f"))
	h.Drain()
	requireInCloud(t, h, want, "f")
}

func reopen(t *testing.T, f *os.File) *os.File {
	t.Helper()
	require.NoError(t, f.Close())
	f, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	require.NoError(t, err)
	return f
}

func TestTruncate(t *testing.T) {
	h := harness.New(t)
	path := h.Path("f")
	data := pattern(2, 200<<10)
	write(t, path, data)
	require.NoError(t, os.Truncate(path, 100<<10))
	requireContent(t, data[:100<<10], path)
	require.NoError(t, os.Truncate(path, 150<<10))
	requireContent(t, append(data[:100<<10:100<<10], make([]byte, 50<<10)...), path)
	h.Drain()
	require.NoError(t, os.Truncate(path, 10)) // of a version in the cloud
	requireContent(t, data[:10], path)
	require.NoError(t, os.Truncate(path, 1<<20))
	requireContent(t, append(data[:10:10], make([]byte, 1<<20-10)...), path)
	h.Drain()
	requireInCloud(t, h, append(data[:10:10], make([]byte, 1<<20-10)...), "f")

	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	require.Zero(t, info.Size())
	_, err = f.Write([]byte("new"))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	requireContent(t, []byte("new"), path)
	require.ErrorIs(t, os.Truncate(path, 1<<62), unix.EFBIG)
	requireContent(t, []byte("new"), path)
}

func TestOpenFlags(t *testing.T) {
	h := harness.New(t)
	path := h.Path("f")
	_, err := os.OpenFile(path, os.O_RDWR, 0)
	require.ErrorIs(t, err, os.ErrNotExist)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	require.NoError(t, err)
	defer f.Close()
	_, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	require.ErrorIs(t, err, os.ErrExist)
	_, err = os.OpenFile(h.Dir, os.O_RDWR, 0)
	require.ErrorIs(t, err, unix.EISDIR)
	_, err = os.Open(filepath.Join(path, "below"))
	require.ErrorIs(t, err, unix.ENOTDIR)

	// Two descriptors that append never overwrite each other.
	g, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	defer g.Close()
	k, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	defer k.Close()
	want := ""
	for i := range 20 {
		line := fmt.Sprintln("line", i)
		_, err := []*os.File{g, k}[i%2].WriteString(line)
		require.NoError(t, err)
		want += line
	}
	requireContent(t, []byte(want), path)
}

func TestExclusiveCreationHappensOnce(t *testing.T) {
	h := harness.New(t)
	made := make(chan bool)
	for range 8 {
		go func() {
			f, err := os.OpenFile(h.Path("lock"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err == nil {
				err = f.Close()
				made <- err == nil
				return
			}
			made <- false
		}()
	}
	count := 0
	for range 8 {
		if <-made {
			count++
		}
	}
	require.Equal(t, 1, count)
}

// A descriptor that was dup'ed is written after the close of the other one: WRITE comes after FLUSH.
func TestWritesAfterFlush(t *testing.T) {
	h := harness.New(t)
	f, err := os.Create(h.Path("f"))
	require.NoError(t, err)
	_, err = f.WriteString("one ")
	require.NoError(t, err)
	fd, err := unix.Dup(int(f.Fd()))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = unix.Write(fd, []byte("two"))
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
	requireContent(t, []byte("one two"), h.Path("f"))
	h.Drain()
	requireInCloud(t, h, []byte("one two"), "f")
}

func TestHolesAreZeros(t *testing.T) {
	h := harness.New(t)
	f, err := os.Create(h.Path("f"))
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("end"), 9<<20)
	require.NoError(t, err)
	got := make([]byte, 1<<20)
	_, err = f.ReadAt(got, 5<<20)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 1<<20), got)
	requireContent(t, append(make([]byte, 9<<20), "end"...), h.Path("f"))
}

func TestTooFarIsRefused(t *testing.T) {
	h := harness.New(t)
	f, err := os.Create(h.Path("f"))
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("x"), 1<<62)
	require.ErrorIs(t, err, unix.EFBIG)
	info, err := f.Stat()
	require.NoError(t, err)
	require.Zero(t, info.Size())
}

func TestDirectIO(t *testing.T) {
	h := harness.New(t)
	data := pattern(3, 64<<10)
	fd, err := unix.Open(h.Path("f"), unix.O_RDWR|unix.O_CREAT|unix.O_DIRECT, 0o644)
	require.NoError(t, err)
	defer unix.Close(fd)
	_, err = unix.Pwrite(fd, data, 0)
	require.NoError(t, err)
	got := make([]byte, len(data))
	_, err = unix.Pread(fd, got, 0)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
	requireContent(t, data, h.Path("f"))
}

func TestModesAndTimesStay(t *testing.T) {
	state := t.TempDir()
	h := harness.New(t, harness.WithState(state))
	file, dir := h.Path("f"), h.Path("d")
	write(t, file, []byte("x"))
	require.NoError(t, os.Mkdir(dir, 0o711))
	require.NoError(t, os.Chmod(file, 0o750))
	when := time.Unix(1234567890, 123456789)
	require.NoError(t, os.Chtimes(file, when, when))
	check := func(h *harness.Harness) {
		t.Helper()
		info, err := os.Stat(h.Path("f"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o750), info.Mode())
		require.Equal(t, when.UnixNano(), info.ModTime().UnixNano(), "to the nanosecond, though the cloud keeps seconds")
		info, err = os.Stat(h.Path("d"))
		require.NoError(t, err)
		require.Equal(t, os.ModeDir|0o711, info.Mode())
	}
	check(h)
	h.Drain()
	check(h)
	require.True(t, h.Account.Tree()["f"].Mtime.Equal(when.Truncate(time.Second)), "other clients see the time")
	h.Stop()
	check(harness.New(t, harness.WithState(state), harness.SameAccount(h)))

	// What nobody set has the usual modes less the umask.
	require.Equal(t, os.FileMode(0o644), fileMode(t, harness.New(t, harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "f", nil, mtime)
	})).Path("f")))
}

func fileMode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Mode()
}

func TestUtimensNowAndOmit(t *testing.T) {
	h := harness.New(t)
	path := h.Path("f")
	write(t, path, nil)
	old := []unix.Timespec{{Sec: 1000}, {Sec: 2000, Nsec: 5}}
	require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, old, 0))
	omit := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_OMIT}}
	require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, omit, 0))
	var st unix.Stat_t
	require.NoError(t, unix.Stat(path, &st))
	require.Equal(t, unix.Timespec{Sec: 2000, Nsec: 5}, st.Mtim)
	before := time.Now().Add(-time.Second)
	now := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}
	require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, now, 0))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, info.ModTime().After(before))
	require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: -5}, {Sec: -5, Nsec: 1}}, 0))
	require.NoError(t, unix.Stat(path, &st))
	require.Equal(t, unix.Timespec{Sec: -5, Nsec: 1}, st.Mtim, "before 1970")
}

func TestLocks(t *testing.T) {
	h := harness.New(t)
	write(t, h.Path("f"), nil)
	f, err := os.OpenFile(h.Path("f"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	require.Equal(t, "taken", strings.TrimSpace(h.Run(".", "flock -n f true && echo free || echo taken")))
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_UN))
	require.Equal(t, "free", strings.TrimSpace(h.Run(".", "flock -n f true && echo free || echo taken")))
}
