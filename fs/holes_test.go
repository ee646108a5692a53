package fs_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/fs"
	"megadisk/integration/harness"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

const (
	punch = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	zero  = unix.FALLOC_FL_ZERO_RANGE
)

// TestZeroRanges makes holes and zeros in a file from the cloud, in one that is only here, and in one that goes up
// meanwhile, and does the same to a slice.
func TestZeroRanges(t *testing.T) {
	base := pattern(3, 900<<10)
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "cloud", base, mtime)
	}))
	write(t, h.Path("here"), base)
	for _, name := range []string{"cloud", "here"} {
		want := bytes.Clone(base)
		f, err := os.OpenFile(h.Path(name), os.O_RDWR, 0)
		require.NoError(t, err)
		check := func(what string) {
			t.Helper()
			got := make([]byte, len(want)+1)
			n, _ := f.ReadAt(got, 0)
			require.True(t, bytes.Equal(want, got[:n]), "%s: %s", name, what)
		}
		do := func(mode uint32, off, n int) {
			t.Helper()
			require.NoError(t, unix.Fallocate(int(f.Fd()), mode, int64(off), int64(n)))
			end := off + n
			if mode&unix.FALLOC_FL_KEEP_SIZE != 0 {
				end = min(end, len(want))
			} else if end > len(want) {
				want = append(want, make([]byte, end-len(want))...)
			}
			if off < end && mode != 0 && mode != unix.FALLOC_FL_KEEP_SIZE {
				clear(want[off:end])
			}
			check(fmt.Sprintf("mode %x, %d bytes at %d", mode, n, off))
		}
		do(punch, 100, 5)
		do(punch, 200<<10, 300<<10)
		h.Drain()
		check("in the cloud")
		do(zero|unix.FALLOC_FL_KEEP_SIZE, 800<<10, 500<<10)
		do(zero, 850<<10, 100<<10)
		do(punch, 2<<20, 10)
		do(0, 1<<20, 77)
		do(unix.FALLOC_FL_KEEP_SIZE, 5<<20, 10)
		_, err = f.WriteAt([]byte("over a hole"), 300<<10)
		require.NoError(t, err)
		copy(want[300<<10:], "over a hole")
		do(punch, 300<<10, 4)
		require.NoError(t, f.Close())
		h.Drain()
		requireContent(t, want, h.Path(name))
		requireInCloud(t, h, want, name)
	}
}

// What is appended through another mount of the process while a file is made longer stays, however the two meet.
func TestAllocatingCutsOffNoAppend(t *testing.T) {
	h := harness.New(t, harness.NoMount())
	ctx := t.Context()
	row, err := h.Engine.Create(ctx, tree.DriveIno, "f", 0o644)
	require.NoError(t, err)
	f, err := h.Engine.Open(ctx, row.Ino, true, false)
	require.NoError(t, err)
	defer f.Release()
	var want []byte
	other := func() {
		line := pattern(uint64(len(want)), 1000)
		_, err := f.WriteAt(ctx, line, int64(len(want)))
		require.NoError(t, err)
		want = append(want, line...)
	}
	for _, more := range []int{1, 500, 999, 1000, 1001, 1999, 2001, 5000} {
		size := len(want) + more
		require.Equal(t, fuse.OK, fs.Allocate(h.Engine, row.Ino, uint64(size), other))
		want = append(want, make([]byte, max(0, size-len(want)))...)
		got := make([]byte, len(want)+1)
		n, err := f.ReadAt(ctx, got, 0)
		require.ErrorIs(t, err, io.EOF)
		require.True(t, bytes.Equal(want, got[:n]), "%d more: %d bytes, not %d", more, n, len(want))
	}
}

func TestSeekDataAndHoles(t *testing.T) {
	h := harness.New(t)
	f, err := os.Create(h.Path("f"))
	require.NoError(t, err)
	defer f.Close()
	fd := int(f.Fd())
	_, err = f.WriteAt(pattern(1, 1000), 1<<20)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(3<<20))
	seek := func(off int64, whence int) int64 {
		t.Helper()
		at, err := unix.Seek(fd, off, whence)
		require.NoError(t, err)
		return at
	}
	require.EqualValues(t, 1<<20, seek(0, unix.SEEK_DATA))
	require.EqualValues(t, 0, seek(0, unix.SEEK_HOLE))
	require.EqualValues(t, 1<<20+1000, seek(1<<20+5, unix.SEEK_HOLE))
	require.EqualValues(t, 1<<20+5, seek(1<<20+5, unix.SEEK_DATA))
	_, err = unix.Seek(fd, 2<<20, unix.SEEK_DATA)
	require.ErrorIs(t, err, unix.ENXIO)
	_, err = unix.Seek(fd, 3<<20, unix.SEEK_HOLE)
	require.ErrorIs(t, err, unix.ENXIO)
	require.NoError(t, unix.Fallocate(fd, punch, 1<<20, 500))
	require.EqualValues(t, 1<<20+500, seek(0, unix.SEEK_DATA))
	require.NoError(t, f.Sync())
	h.Drain()
	require.EqualValues(t, 0, seek(0, unix.SEEK_DATA), "what the cloud holds is data")
	require.EqualValues(t, 3<<20, seek(0, unix.SEEK_HOLE))
}

func copyRange(t *testing.T, from, to *os.File, off, toOff int64, n int) {
	t.Helper()
	for n > 0 {
		done, err := unix.CopyFileRange(int(from.Fd()), &off, int(to.Fd()), &toOff, n, 0)
		require.NoError(t, err)
		require.Positive(t, done)
		n -= done
	}
}

// What is staged is copied without being written again; what is in the cloud is fetched where it must be.
func TestCopyRanges(t *testing.T) {
	base := pattern(3, 700<<10)
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "cloud", base, mtime)
	}))
	mixed := bytes.Clone(base)
	src, err := os.OpenFile(h.Path("cloud"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer src.Close()
	_, err = src.WriteAt(pattern(4, 100<<10), 200<<10)
	require.NoError(t, err)
	copy(mixed[200<<10:], pattern(4, 100<<10))
	require.NoError(t, src.Truncate(1<<20))
	mixed = append(mixed, make([]byte, 1<<20-len(mixed))...)

	dst, err := os.Create(h.Path("dst"))
	require.NoError(t, err)
	defer dst.Close()
	_, err = dst.Write(bytes.Repeat([]byte("x"), 2<<20))
	require.NoError(t, err)
	want := bytes.Repeat([]byte("x"), 2<<20)
	copyRange(t, src, dst, 0, 333, 1<<20)
	copy(want[333:], mixed)
	copyRange(t, src, dst, 190<<10, 2<<20-100, 30<<10)
	want = append(want[:2<<20-100], mixed[190<<10:220<<10]...)
	copyRange(t, dst, dst, 1000, 3<<20, 5000)
	want = append(append(want, make([]byte, 3<<20-len(want))...), want[1000:6000]...)
	requireContent(t, want, h.Path("dst"))
	_, err = src.WriteAt([]byte("changed after the copy"), 200<<10)
	require.NoError(t, err)
	copy(mixed[200<<10:], "changed after the copy")
	requireContent(t, want, h.Path("dst"))
	require.NoError(t, src.Close())
	require.NoError(t, dst.Close())
	h.Drain()
	requireContent(t, want, h.Path("dst"))
	requireInCloud(t, h, want, "dst")
	requireInCloud(t, h, mixed, "cloud")
}

// A whole file that is in the cloud unchanged is copied there.
func TestCpCopiesOnTheServer(t *testing.T) {
	state := t.TempDir()
	content := pattern(9, 3<<20)
	h := harness.New(t, harness.WithState(state), harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "a", content, mtime)
		a.PutFile(a.Root(), "old", []byte("old"), mtime)
		a.Mkdir(a.Root(), "d")
	}))
	before := h.Server.Stats()
	h.Run(".", "cp --preserve=timestamps a d/b; cp a tmp; mv tmp old; chmod 700 d/b")
	h.Drain()
	after := h.Server.Stats()
	require.Equal(t, before.Commands["u"], after.Commands["u"], "nothing is uploaded")
	require.Equal(t, before.Commands["g"], after.Commands["g"], "nothing is downloaded")
	for _, name := range []string{"d/b", "old"} {
		requireInCloud(t, h, content, name)
		require.Equal(t, h.Account.Key(h.Account.Find("a")), h.Account.Key(h.Account.Find(name)), "the same content has the same key")
	}
	require.True(t, h.Account.Tree()["d/b"].Mtime.Equal(mtime))
	require.Equal(t, os.FileMode(0o700), fileMode(t, h.Path("d/b")).Perm())
	require.Len(t, h.Account.Versions(h.Account.Find("old")), 2)
	requireContent(t, content, h.Path("d/b"))

	// The copy is a file like any other.
	f, err := os.OpenFile(h.Path("d/b"), os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("edited"), 1<<20)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	h.Drain()
	edited := bytes.Clone(content)
	copy(edited[1<<20:], "edited")
	requireInCloud(t, h, edited, "d/b")
	requireInCloud(t, h, content, "a")
	h.Stop()
	again := harness.New(t, harness.WithState(state), harness.SameAccount(h))
	requireContent(t, edited, again.Path("d/b"))
	requireContent(t, content, again.Path("old"))
}

// A copy that was changed before it went up goes up as what it is.
func TestCopyThatIsChanged(t *testing.T) {
	content := pattern(9, 1<<20)
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "a", content, mtime)
	}))
	h.Run(".", "cp a b; printf EDIT | dd of=b conv=notrunc bs=1 seek=1000 status=none; cp a c; truncate -s 100000 c; cp a e; rm e; cp a f; mv f g; rm a")
	h.Drain()
	want := bytes.Clone(content)
	copy(want[1000:], "EDIT")
	requireInCloud(t, h, want, "b")
	requireInCloud(t, h, content[:100000], "c")
	requireInCloud(t, h, content, "g")
	for _, gone := range []string{"a", "e", "f"} {
		require.Empty(t, h.Account.Find(gone))
		require.NoFileExists(t, filepath.Join(h.Dir, gone))
	}
}

func TestExchange(t *testing.T) {
	state := t.TempDir()
	h := harness.New(t, harness.WithState(state), harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "a", []byte("A"), mtime)
		a.PutFile(a.Mkdir(a.Root(), "d"), "b", []byte("B"), mtime)
	}))
	exchange := func(from, to string) error {
		return unix.Renameat2(unix.AT_FDCWD, h.Path(from), unix.AT_FDCWD, h.Path(to), unix.RENAME_EXCHANGE)
	}
	write(t, h.Path("new"), []byte("N"))
	require.NoError(t, exchange("a", "d/b"))
	require.NoError(t, exchange("new", "a"))
	require.ErrorIs(t, exchange("a", "missing"), unix.ENOENT)
	require.ErrorIs(t, exchange("d", "d/b"), unix.EINVAL)
	write(t, h.Path("file"), []byte("F"))
	require.NoError(t, os.Mkdir(h.Path("folder"), 0o755))
	h.Drain()
	require.NoError(t, exchange("file", "folder"))
	everywhere(t, h, state, func(t *testing.T, h *harness.Harness) {
		for name, want := range map[string]string{"a": "N", "d/b": "A", "new": "B", "folder": "F"} {
			requireContent(t, []byte(want), h.Path(name))
		}
		require.Equal(t, []string{"a", "d", "file", "folder", "new"}, names(t, h.Dir))
		require.DirExists(t, h.Path("file"))
	})
}
