package fs_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/fs"
	"megadisk/integration/harness"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

func TestAnAccountIsShown(t *testing.T) {
	big := pattern(1, 3<<20+77)
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "big", big, mtime)
		a.PutFile(a.Root(), "empty", nil, mtime)
		dir := a.Mkdir(a.Root(), "dir")
		a.PutFile(a.Mkdir(dir, "below"), "small", []byte("hello"), mtime)
		a.PutFile(dir, "mit Umlauten äöü\tund\nmehr", []byte("x"), mtime)
	}), harness.WithAccount(megatest.Quota(8<<30)))

	require.Equal(t, []string{"big", "dir", "empty"}, names(t, h.Dir))
	require.Equal(t, []string{"below", "mit Umlauten äöü\tund\nmehr"}, names(t, h.Path("dir")))
	info, err := os.Stat(h.Path("big"))
	require.NoError(t, err)
	require.EqualValues(t, len(big), info.Size())
	require.True(t, mtime.Equal(info.ModTime()), info.ModTime())
	requireContent(t, []byte("hello"), h.Path("dir", "below", "small"))
	requireContent(t, []byte{}, h.Path("empty"))

	f, err := os.Open(h.Path("big"))
	require.NoError(t, err)
	defer f.Close()
	for _, off := range []int{2 << 20, 0, 131071, 1<<20 - 3, len(big) - 10} { // backwards and across borders
		p := make([]byte, 10)
		_, err := f.ReadAt(p, int64(off))
		require.NoError(t, err)
		require.Equal(t, big[off:off+10], p)
	}
	_, err = f.ReadAt(make([]byte, 10), int64(len(big)))
	require.ErrorIs(t, err, io.EOF)
	requireContent(t, big, h.Path("big"))

	var sfs unix.Statfs_t
	require.NoError(t, unix.Statfs(h.Dir, &sfs))
	require.EqualValues(t, 8<<30/4096, sfs.Blocks)
}

func TestXattrsOfMega(t *testing.T) {
	var handle, link string
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		handle = a.PutFile(a.Root(), "a", pattern(2, 300<<10), mtime)
		handle = a.PutVersion(handle, pattern(3, 300<<10), mtime)
		link = a.Export(handle)
	}))
	get := func(name string) string {
		buf := make([]byte, 300)
		n, err := unix.Getxattr(h.Path("a"), "user.mega."+name, buf)
		require.NoError(t, err, name)
		return string(buf[:n])
	}
	require.Equal(t, handle, get("handle"))
	require.Equal(t, link, get("link"))
	require.Equal(t, "1", get("versions"))
	require.Equal(t, "cloud", get("state"))
	require.Equal(t, "no", get("verified"))
	requireContent(t, pattern(3, 300<<10), h.Path("a"))
	require.Equal(t, "yes", get("verified"))
	require.Equal(t, "cached", get("state"))

	write(t, h.Path("new"), []byte("x"))
	_, err := unix.Getxattr(h.Path("new"), "user.mega.link", nil)
	require.ErrorIs(t, err, unix.ENODATA)
}

// From the third listing on the kernel answers by itself; that is where a change that it wasn't told of would show.
func TestChangesElsewhereShow(t *testing.T) {
	h := harness.New(t)
	a := h.Account
	list := func(want ...string) {
		t.Helper()
		for range 4 {
			require.ElementsMatch(t, want, names(t, h.Dir))
		}
	}
	list()
	file := a.PutFile(a.Root(), "file", []byte("one"), mtime)
	dir := a.Mkdir(a.Root(), "dir")
	h.Await("dir")
	list("file", "dir")
	requireContent(t, []byte("one"), h.Path("file"))

	a.Rename(file, "renamed")
	h.Await("renamed")
	list("renamed", "dir")
	_, err := os.Stat(h.Path("file"))
	require.ErrorIs(t, err, os.ErrNotExist)

	a.Move(file, dir)
	h.Await("dir/renamed")
	list("dir")
	requireContent(t, []byte("one"), h.Path("dir", "renamed"))

	before, err := os.Stat(h.Path("dir", "renamed"))
	require.NoError(t, err)
	file = a.PutVersion(file, []byte("two, and longer"), mtime.Add(time.Hour))
	h.AwaitInode("dir/renamed", func(in tree.Inode) bool { return in.Size == 15 })
	requireContent(t, []byte("two, and longer"), h.Path("dir", "renamed"))
	after, err := os.Stat(h.Path("dir", "renamed"))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "a new version is the same inode while nobody has it open")
	require.True(t, mtime.Add(time.Hour).Equal(after.ModTime()))

	a.Trash(file)
	h.AwaitGone("dir/renamed")
	_, err = os.Stat(h.Path("dir", "renamed"))
	require.ErrorIs(t, err, os.ErrNotExist)
	a.Remove(dir)
	h.AwaitGone("dir")
	list()
}

// Invariant 5: no reader ever sees two versions mixed.
func TestAReaderKeepsTheVersionItOpened(t *testing.T) {
	old, fresh := pattern(4, 2<<20), pattern(5, 2<<20)
	var handle string
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		handle = a.PutFile(a.Root(), "a", old, mtime)
	}))
	f, err := os.Open(h.Path("a"))
	require.NoError(t, err)
	defer f.Close()
	p := make([]byte, 1<<20)
	_, err = io.ReadFull(f, p)
	require.NoError(t, err)
	require.Equal(t, old[:1<<20], p)
	before := h.Await("a")

	h.Account.PutVersion(handle, fresh, mtime)
	h.AwaitInode("a", func(in tree.Inode) bool { return in.Ino != before.Ino })
	requireContent(t, fresh, h.Path("a"))
	_, err = io.ReadFull(f, p)
	require.NoError(t, err)
	require.Equal(t, old[1<<20:], p)
	info, err := f.Stat()
	require.NoError(t, err)
	require.Zero(t, info.Sys().(*syscall.Stat_t).Nlink, "its name is another file's now")
}

func TestAFileRemovedElsewhereIsReadToItsEnd(t *testing.T) {
	content := pattern(6, 1<<20)
	var handle string
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		handle = a.PutFile(a.Root(), "a", content, mtime)
	}))
	f, err := os.Open(h.Path("a"))
	require.NoError(t, err)
	defer f.Close()
	h.Account.Trash(handle)
	h.AwaitGone("a")
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, content, got)
}

func TestALongFolder(t *testing.T) {
	const many = 1500
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		dir := a.Mkdir(a.Root(), "dir")
		for i := range many {
			a.Mkdir(dir, fmt.Sprintf("%04d", i))
		}
	}))
	for range 3 {
		list := names(t, h.Path("dir"))
		require.Len(t, list, many)
		for i, name := range list {
			require.Equal(t, fmt.Sprintf("%04d", i), name)
		}
	}
	// Other programs believe d_type and nlink: find must not take a folder for a leaf.
	require.Equal(t, fmt.Sprint(many+1), strings.TrimSpace(h.Run(".", "find dir -type d | wc -l")))
	require.Equal(t, fmt.Sprint(many+1), strings.TrimSpace(h.Run(".", "find dir -links +0 | wc -l")))
	require.NotEmpty(t, h.Run(".", "du -s dir; ls -lR . >/dev/null; ls -la dir | head -3"))
}

func TestAMountedFolder(t *testing.T) {
	var root string
	whole := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		root = a.Mkdir(a.Root(), "folder")
		a.PutFile(a.Mkdir(root, "sub"), "file", []byte("x"), mtime)
		a.PutFile(a.Root(), "outside", []byte("x"), mtime)
	}))
	dir := t.TempDir()
	part, err := fs.Mount(dir, fs.Options{
		Engine: whole.Engine, Root: whole.Await("folder").Ino, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()),
	})
	require.NoError(t, err)
	require.NoError(t, part.UseHere())
	defer func() { require.NoError(t, part.Unmount()) }()

	require.Equal(t, []string{"sub"}, names(t, dir))
	var top, up, sub unix.Stat_t
	require.NoError(t, unix.Stat(dir, &top))
	require.NoError(t, unix.Stat(filepath.Join(dir, "sub", ".."), &up))
	require.NoError(t, unix.Stat(filepath.Join(dir, "sub"), &sub))
	require.Equal(t, top.Ino, up.Ino)
	var same unix.Stat_t
	require.NoError(t, unix.Stat(whole.Path("folder", "sub"), &same))
	require.Equal(t, same.Ino, sub.Ino, "both mounts show the same inode")

	// What one mount does, the other's kernel is told, in both directions.
	settle := func() {
		t.Helper()
		require.NoError(t, part.Settled(whole.Context()))
		whole.Settled(whole.Context())
	}
	for i := range 4 {
		require.Len(t, names(t, dir), 1+2*i)
		require.Len(t, names(t, whole.Path("folder")), 1+2*i)
		require.NoError(t, os.Mkdir(filepath.Join(dir, fmt.Sprint("by part ", i)), 0o755))
		require.NoError(t, os.Mkdir(whole.Path("folder", fmt.Sprint("by whole ", i)), 0o755))
		settle()
	}
	write(t, filepath.Join(dir, "shared"), []byte("one"))
	settle()
	requireContent(t, []byte("one"), whole.Path("folder", "shared"))
	write(t, whole.Path("folder", "shared"), []byte("two, longer"))
	settle()
	requireContent(t, []byte("two, longer"), filepath.Join(dir, "shared"))
	write(t, filepath.Join(dir, "shared"), []byte("three, same"))
	settle()
	requireContent(t, []byte("three, same"), whole.Path("folder", "shared"))
	require.NoError(t, os.Remove(filepath.Join(dir, "shared")))
	settle()
	_, err = os.Stat(whole.Path("folder", "shared"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestContentGoneForGoodIsAnError(t *testing.T) {
	var handle string
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		handle = a.PutFile(a.Root(), "a", pattern(7, 4<<20), mtime)
	}))
	f, err := os.Open(h.Path("a"))
	require.NoError(t, err)
	defer f.Close()
	h.Account.Remove(handle)
	h.AwaitGone("a")
	_, err = f.ReadAt(make([]byte, 10), 3<<20)
	require.ErrorIs(t, err, unix.EIO)
	require.Empty(t, names(t, h.Dir), "the mount goes on")
}

// What was just written, and what was read once, is read from the kernel's own pages, also after it went up.
func TestPagesAreKept(t *testing.T) {
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "old", pattern(1, 1<<20), mtime)
	}))
	write(t, h.Path("new"), pattern(2, 1<<20))
	requireContent(t, pattern(1, 1<<20), h.Path("old"))
	h.Drain()
	h.Account.Mkdir(h.Account.Root(), "after") // its packet comes behind the echo of the upload
	h.Await("after")
	for _, name := range []string{"new", "old"} {
		for range 2 {
			f, err := os.Open(h.Path(name))
			require.NoError(t, err)
			require.Equal(t, 256, residentPages(t, f), name)
			require.NoError(t, f.Close())
		}
	}
	handle := h.Account.Find("old")
	h.Account.PutVersion(handle, pattern(3, 1<<20), mtime)
	h.AwaitInode("old", func(in tree.Inode) bool { return string(in.Base.Handle) != handle })
	f, err := os.Open(h.Path("old"))
	require.NoError(t, err)
	defer f.Close()
	require.Zero(t, residentPages(t, f), "pages of the old version")
}

// residentPages counts a file's pages in the kernel's cache. It maps the file and touches nothing of the map.
func residentPages(t *testing.T, f *os.File) int {
	t.Helper()
	info, err := f.Stat()
	require.NoError(t, err)
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(m)) }()
	vec := make([]byte, (len(m)+4095)/4096)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&vec[0])))
	require.Zero(t, errno)
	count := 0
	for _, v := range vec {
		count += int(v & 1)
	}
	return count
}

// Whoever opens a file while it is replaced elsewhere gets one version or the other, whole.
func TestOpeningWhileItIsReplaced(t *testing.T) {
	const size, rounds = 64 << 10, 40
	h := harness.New(t)
	versions := map[string]bool{}
	handle := ""
	for i := range byte(rounds) {
		content := bytes.Repeat([]byte{i}, size)
		versions[string(content)] = true
		if i == 0 {
			handle = h.Account.PutFile(h.Account.Root(), "f", content, mtime)
			h.Await("f")
		}
	}
	stop := make(chan struct{})
	read := make(chan error, 2)
	for range cap(read) {
		go func() {
			for {
				select {
				case <-stop:
					read <- nil
					return
				default:
				}
				got, err := os.ReadFile(h.Path("f"))
				if err == nil && !versions[string(got)] {
					err = fmt.Errorf("%d bytes that are no version: they begin with %d and end with %d", len(got), got[0], got[len(got)-1])
				}
				if err != nil {
					read <- err
					return
				}
			}
		}()
	}
	for i := byte(1); i < rounds; i++ {
		handle = h.Account.PutVersion(handle, bytes.Repeat([]byte{i}, size), mtime.Add(time.Duration(i)*time.Second))
		h.AwaitInode("f", func(in tree.Inode) bool { return string(in.Base.Handle) == handle })
	}
	close(stop)
	for range cap(read) {
		require.NoError(t, <-read)
	}
	requireContent(t, bytes.Repeat([]byte{rounds - 1}, size), h.Path("f"))
}
