package fs_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/harness"
	"megadisk/writeback/tree"
)

func TestNamesOfAnyBytes(t *testing.T) {
	state := t.TempDir()
	h := harness.New(t, harness.WithState(state))
	want := []string{
		" ", "...", "-rf", "a\nb", `back\slash`, `"quoted"`, "%2F", "tab\t", "\x01\x7f", "\xff\xfe", "caf\xe9", "café", "cafe\u0301",
		"日本語", "\U0001F600", strings.Repeat("n", 255), strings.Repeat("ü", 127), "\xc0\xaf", "con", "x:y", "*?<>|",
	}
	for i, name := range want {
		write(t, h.Path(name), fmt.Appendf(nil, "content %d", i))
	}
	slices.Sort(want)
	require.Equal(t, want, names(t, h.Dir), "in the order of bytes, and nothing normalised")
	h.Drain()
	require.Equal(t, want, names(t, h.Dir))

	// Another megadisk, with a state of its own, sees the same bytes.
	other := harness.New(t, harness.SameAccount(h))
	require.Equal(t, want, names(t, other.Dir))
	for _, name := range want {
		mine, err := os.ReadFile(h.Path(name))
		require.NoError(t, err)
		requireContent(t, mine, other.Path(name))
	}
}

func TestNamesThatAreTooLong(t *testing.T) {
	h := harness.New(t)
	long := h.Path(strings.Repeat("n", 256))
	write(t, h.Path("f"), nil)
	require.ErrorIs(t, os.WriteFile(long, nil, 0o644), unix.ENAMETOOLONG)
	require.ErrorIs(t, os.Mkdir(long, 0o755), unix.ENAMETOOLONG)
	require.ErrorIs(t, os.Rename(h.Path("f"), long), unix.ENAMETOOLONG)
	require.ErrorIs(t, os.Remove(long), unix.ENAMETOOLONG)
}

func TestRename(t *testing.T) {
	h := harness.New(t)
	path := h.Path
	for _, d := range []string{"d", "d/sub", "e", "full", "full/x"} {
		require.NoError(t, os.Mkdir(path(d), 0o755))
	}
	write(t, path("a"), []byte("a"))
	write(t, path("b"), []byte("b"))
	h.Drain() // half of what follows meets nodes in the cloud, the other half what is only here
	write(t, path("c"), []byte("c"))
	write(t, path("t"), []byte("t"))

	var before, after unix.Stat_t
	require.NoError(t, unix.Stat(path("a"), &before))
	require.NoError(t, os.Rename(path("a"), path("d", "a2")))
	require.NoError(t, unix.Stat(path("d", "a2"), &after))
	require.Equal(t, before.Ino, after.Ino)
	_, err := os.Stat(path("a"))
	require.ErrorIs(t, err, os.ErrNotExist)

	require.NoError(t, os.Rename(path("b"), path("d", "a2")), "replaces")
	requireContent(t, []byte("b"), path("d", "a2"))
	require.NoError(t, os.Rename(path("c"), path("t")), "replaces")
	requireContent(t, []byte("c"), path("t"))

	noReplace := func(from, to string) error {
		return unix.Renameat2(unix.AT_FDCWD, path(from), unix.AT_FDCWD, path(to), unix.RENAME_NOREPLACE)
	}
	require.ErrorIs(t, noReplace("t", "d/a2"), unix.EEXIST)
	require.NoError(t, noReplace("t", "t2"))
	require.NoError(t, os.Rename(path("t2"), path("t2")), "onto itself")

	require.NoError(t, unix.Rename(path("e"), path("d", "sub")), "an empty folder is replaced")
	require.ErrorIs(t, unix.Rename(path("d"), path("full")), unix.ENOTEMPTY)
	require.ErrorIs(t, unix.Rename(path("t2"), path("full")), unix.EISDIR)
	require.ErrorIs(t, unix.Rename(path("full"), path("t2")), unix.ENOTDIR)
	require.ErrorIs(t, unix.Rename(path("d"), path("d", "sub", "d")), unix.EINVAL)
	require.ErrorIs(t, os.Rename(path("nothing"), path("x")), os.ErrNotExist)

	require.Equal(t, []string{"d", "full", "t2"}, names(t, h.Dir))
	require.Equal(t, []string{"a2", "sub"}, names(t, path("d")))
	h.Drain()
	require.ElementsMatch(t, []string{"d", "d/a2", "d/sub", "full", "full/x", "t2"}, cloudPaths(h))
	requireInCloud(t, h, []byte("b"), "d/a2")
	requireInCloud(t, h, []byte("c"), "t2")
}

func cloudPaths(h *harness.Harness) []string {
	var all []string
	for path := range h.Account.Tree() {
		all = append(all, path)
	}
	slices.Sort(all)
	return all
}

func TestRenameAndUnlinkWhileOpen(t *testing.T) {
	h := harness.New(t)
	for _, drained := range []bool{false, true} {
		write(t, h.Path("a"), []byte("first"))
		write(t, h.Path("target"), []byte("target"))
		if drained {
			h.Drain()
		}
		a, err := os.OpenFile(h.Path("a"), os.O_RDWR, 0)
		require.NoError(t, err)
		target, err := os.OpenFile(h.Path("target"), os.O_RDWR, 0)
		require.NoError(t, err)

		require.NoError(t, os.Rename(h.Path("a"), h.Path("target")))
		_, err = a.WriteAt([]byte("FIRST"), 0)
		require.NoError(t, err)
		got := make([]byte, 6)
		_, err = target.ReadAt(got, 0)
		require.NoError(t, err)
		require.Equal(t, "target", string(got), "who had the old file open reads the old bytes")
		_, err = target.WriteAt([]byte("gone"), 0)
		require.NoError(t, err)
		var st unix.Stat_t
		require.NoError(t, unix.Fstat(int(target.Fd()), &st))
		require.Zero(t, st.Nlink)
		require.NoError(t, target.Close())
		requireContent(t, []byte("FIRST"), h.Path("target"))

		require.NoError(t, os.Remove(h.Path("target")))
		_, err = a.WriteAt([]byte("unlinked"), 0)
		require.NoError(t, err)
		require.NoError(t, a.Truncate(4))
		got = make([]byte, 4)
		_, err = a.ReadAt(got, 0)
		require.NoError(t, err)
		require.Equal(t, "unli", string(got))
		require.NoError(t, unix.Fstat(int(a.Fd()), &st))
		require.EqualValues(t, 4, st.Size)
		require.NoError(t, a.Close())
		require.Empty(t, names(t, h.Dir))
		h.Drain()
		require.Empty(t, h.Account.Tree())
	}
}

func TestRemoving(t *testing.T) {
	h := harness.New(t)
	require.NoError(t, os.MkdirAll(h.Path("d", "sub"), 0o755))
	write(t, h.Path("f"), nil)
	require.ErrorIs(t, unix.Rmdir(h.Path("d")), unix.ENOTEMPTY)
	require.ErrorIs(t, unix.Rmdir(h.Path("f")), unix.ENOTDIR)
	require.ErrorIs(t, unix.Unlink(h.Path("d")), unix.EISDIR)
	require.ErrorIs(t, unix.Unlink(h.Path("nothing")), unix.ENOENT)
	require.NoError(t, unix.Rmdir(h.Path("d", "sub")))
	require.NoError(t, unix.Rmdir(h.Path("d")))
	require.NoError(t, unix.Unlink(h.Path("f")))
	require.Empty(t, names(t, h.Dir))

	// A folder that a process stands in.
	require.Equal(t, "ok\n", h.Run(".", `mkdir here; cd here; rmdir ../here; ls -a >/dev/null; ! touch x 2>/dev/null; echo ok`))
}

func TestRemovingALargeTree(t *testing.T) {
	h := harness.New(t)
	h.Run(".", `mkdir t; for i in $(seq 20); do mkdir t/$i; for k in $(seq 20); do echo $k >t/$i/$k; done; done; rm -r t`)
	require.Empty(t, names(t, h.Dir))
	h.Drain()
	require.Empty(t, h.Account.Tree())
}

// The row of a removed file that never was in the cloud goes once it is closed and this kernel has forgotten it.
func TestRowsOfRemovedFilesGo(t *testing.T) {
	h := harness.New(t)
	write(t, h.Path("a"), nil)
	ino := h.Await("a").Ino
	f, err := os.Open(h.Path("a"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(h.Path("a")))
	h.Settled(h.Context())
	_, err = h.Engine.Stat(ino)
	require.NoError(t, err, "it is open")
	require.NoError(t, f.Close())
	h.AwaitRow(ino, false)
}

// TestRowsOfRemovedCloudFilesGo: the kernel forgets an inode at unlink, long before the cloud has answered; its row
// goes all the same, and without a new start. (If the event comes before the answer, it is the node in the bin.)
func TestRowsOfRemovedCloudFilesGo(t *testing.T) {
	h := harness.New(t)
	write(t, h.Path("file"), []byte("x"))
	require.NoError(t, os.Mkdir(h.Path("folder"), 0o755))
	h.Drain()
	file, folder := h.Await("file").Ino, h.Await("folder").Ino
	require.NoError(t, os.Remove(h.Path("file")))
	require.NoError(t, os.Remove(h.Path("folder")))
	h.Drain()
	for _, ino := range []tree.Ino{file, folder} {
		require.Eventually(t, func() bool {
			in, err := h.Engine.Tree().Get(ino)
			return err != nil || !in.Removed && in.Parent == tree.BinIno
		}, harness.Deadline, 10*time.Millisecond, "inode %d", ino)
	}
}
