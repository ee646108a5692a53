package fs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/fs"
	"megadisk/integration/harness"
	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

func inoOf(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	return info.Sys().(*syscall.Stat_t).Ino
}

const hiddenFirst = uint64(1) << 62

func TestHiddenFolderIsThereAndNotListed(t *testing.T) {
	h := harness.New(t)
	h.Account.Mkdir(h.Account.Root(), "sub")
	h.Await("sub")
	for range 3 {
		require.Equal(t, []string{"sub"}, names(t, h.Dir))
	}
	list := names(t, h.Path(".mega"))
	require.Equal(t, []string{"rubbish", "shares", "status.json", "vault", "versions"}, list)
	_, err := os.Lstat(h.Path("sub/.mega"))
	require.ErrorIs(t, err, os.ErrNotExist, "it is in the root only")
	for _, name := range []string{".mega", ".mega/shares", ".mega/status.json", ".mega/versions"} {
		require.GreaterOrEqual(t, inoOf(t, h.Path(name)), hiddenFirst, name)
	}
	require.Equal(t, uint64(tree.BinIno), inoOf(t, h.Path(".mega/rubbish")))
	_, err = os.Lstat(h.Path(".mega/none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestHiddenFolderKeepsItsName(t *testing.T) {
	h := harness.New(t)
	write(t, h.Path("f"), []byte("f"))
	require.ErrorIs(t, os.Mkdir(h.Path(".mega"), 0o755), unix.EEXIST)
	require.ErrorIs(t, os.Symlink("x", h.Path(".mega")), unix.EEXIST)
	require.ErrorIs(t, os.Mkdir(h.Path("d"), 0o755), nil)
	require.ErrorIs(t, unix.Rename(h.Path("d"), h.Path(".mega")), unix.EEXIST)
	require.Error(t, unix.Rename(h.Path("f"), h.Path(".mega")))
	require.ErrorIs(t, unix.Rename(h.Path(".mega"), h.Path("other")), unix.EPERM)
	require.ErrorIs(t, unix.Rmdir(h.Path(".mega")), unix.EPERM)
	require.Error(t, os.WriteFile(h.Path(".mega/x"), nil, 0o644))
	require.Error(t, os.Mkdir(h.Path(".mega/versions/x"), 0o755))
	require.Error(t, os.WriteFile(h.Path(".mega/status.json"), []byte("x"), 0o644))
}

// A real folder of that name wins, from the moment when it comes to that when it goes.
func TestRealFolderWinsOverTheHiddenOne(t *testing.T) {
	h := harness.New(t)
	require.Equal(t, 5, len(names(t, h.Path(".mega"))))
	folder := h.Account.Mkdir(h.Account.Root(), ".mega")
	h.Account.PutFile(folder, "mine", []byte("mine"), mtime)
	h.Await(".mega/mine")
	require.Equal(t, []string{"mine"}, names(t, h.Path(".mega")))
	require.Contains(t, names(t, h.Dir), ".mega")
	require.Less(t, inoOf(t, h.Path(".mega")), hiddenFirst)
	write(t, h.Path(".mega/written"), []byte("written"))

	h.Drain()
	h.Account.Remove(folder)
	h.AwaitGone(".mega")
	require.GreaterOrEqual(t, inoOf(t, h.Path(".mega")), hiddenFirst)
	require.Equal(t, 5, len(names(t, h.Path(".mega"))))

	// Here too: what a program may not make, it may remove once somebody else made it.
	h.Account.Mkdir(h.Account.Root(), ".mega")
	h.Await(".mega")
	require.NoError(t, os.Remove(h.Path(".mega")))
	require.GreaterOrEqual(t, inoOf(t, h.Path(".mega")), hiddenFirst)
}

func TestHiddenFolderUnderAnotherName(t *testing.T) {
	h := harness.New(t, harness.WithMount(func(o *fs.Options) { o.Hidden = ".cloud" }))
	require.NoError(t, os.Mkdir(h.Path(".mega"), 0o755))
	require.ErrorIs(t, os.Mkdir(h.Path(".cloud"), 0o755), unix.EEXIST)
	require.Len(t, names(t, h.Path(".cloud")), 5)
}

func TestStatusFileIsReadAnewEachTime(t *testing.T) {
	var n atomic.Int32
	h := harness.New(t, harness.WithMount(func(o *fs.Options) {
		o.Status = func(context.Context) ([]byte, error) {
			if n.Add(1) == 1 {
				return []byte("first, and longer\n"), nil
			}
			return []byte("second\n"), nil
		}
	}))
	requireContent(t, []byte("first, and longer\n"), h.Path(".mega/status.json"))
	requireContent(t, []byte("second\n"), h.Path(".mega/status.json"))
}

func TestEarlierVersionsAreReadable(t *testing.T) {
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		dir := a.Mkdir(a.Root(), "dir")
		a.Mkdir(a.Root(), "empty")
		a.PutFile(dir, "only one", []byte("x"), mtime)
		old := a.PutFile(dir, "f", pattern(1, 300_000), mtime)
		old = a.PutVersion(old, []byte("second"), mtime)
		a.PutVersion(old, []byte("third"), mtime)
	}))
	require.ElementsMatch(t, []string{"dir", "empty"}, names(t, h.Path(".mega/versions")))
	require.Equal(t, []string{"f"}, names(t, h.Path(".mega/versions/dir")))
	_, err := os.Lstat(h.Path(".mega/versions/dir/only one"))
	require.ErrorIs(t, err, os.ErrNotExist)

	list := names(t, h.Path(".mega/versions/dir/f"))
	require.Len(t, list, 2)
	var sizes []int64
	for _, name := range list {
		info, err := os.Lstat(h.Path(".mega/versions/dir/f", name))
		require.NoError(t, err)
		require.GreaterOrEqual(t, inoOf(t, h.Path(".mega/versions/dir/f", name)), hiddenFirst)
		require.WithinDuration(t, time.Now(), info.ModTime(), time.Hour)
		sizes = append(sizes, info.Size())
		want := []byte("second")
		if info.Size() == 300_000 {
			want = pattern(1, 300_000)
		}
		requireContent(t, want, h.Path(".mega/versions/dir/f", name))
		require.Error(t, os.WriteFile(h.Path(".mega/versions/dir/f", name), []byte("x"), 0o644))
	}
	slices.Sort(sizes)
	require.Equal(t, []int64{6, 300_000}, sizes)
}

// A save makes the version before it appear, without anything that the kernel had kept in its way.
func TestVersionsFollow(t *testing.T) {
	h := harness.New(t)
	write(t, h.Path("f"), []byte("one"))
	h.Drain()
	require.Empty(t, names(t, h.Path(".mega/versions")))
	write(t, h.Path("f"), []byte("two"))
	h.Drain()
	require.Equal(t, []string{"f"}, names(t, h.Path(".mega/versions")))
	list := names(t, h.Path(".mega/versions/f"))
	require.Len(t, list, 1)
	requireContent(t, []byte("one"), h.Path(".mega/versions/f", list[0]))
}

func manyNames(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%04d", i)
	}
	return list
}

func TestLargeHistoryFolderIsListedWhole(t *testing.T) {
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		for _, name := range manyNames(700) {
			a.Mkdir(a.Root(), name)
		}
	}))
	require.Equal(t, manyNames(700), names(t, h.Path(".mega/versions")))
}

func TestRestoreVersionKeepsTheInode(t *testing.T) {
	h := harness.New(t)
	first := pattern(3, 5<<20)
	write(t, h.Path("f"), first)
	h.Drain()
	write(t, h.Path("f"), []byte("two"))
	h.Drain()
	requireContent(t, []byte("two"), h.Path("f"))
	ino := inoOf(t, h.Path("f"))
	versions, err := h.Engine.Versions(tree.Ino(ino))
	require.NoError(t, err)
	require.Len(t, versions, 1)

	require.NoError(t, h.Engine.RestoreVersion(h.Context(), tree.Ino(ino), versions[0].Handle))
	h.Settled(h.Context())
	requireContent(t, first, h.Path("f"))
	require.Equal(t, ino, inoOf(t, h.Path("f")))
	h.Drain()
	requireInCloud(t, h, first, "f")
	require.Len(t, h.Account.Versions(h.Account.Find("f")), 3, "what was there is a version now")
	require.ErrorIs(t, h.Engine.RestoreVersion(h.Context(), tree.Ino(ino), "AAAAAAAA"), tree.ErrNotFound)
}

// A version whose content can't be had leaves the file as it is.
func TestRestoreOfABadVersionChangesNothing(t *testing.T) {
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		old := a.Put(megatest.PutSpec{Parent: a.Root(), Name: "f", Content: pattern(1, 400_000), WrongMAC: true})
		a.PutVersion(old, []byte("good"), mtime)
	}))
	ino := tree.Ino(inoOf(t, h.Path("f")))
	versions, err := h.Engine.Versions(ino)
	require.NoError(t, err)
	require.Len(t, versions, 1)
	require.Error(t, h.Engine.RestoreVersion(h.Context(), ino, versions[0].Handle))
	requireContent(t, []byte("good"), h.Path("f"))
	h.Drain()
	require.Len(t, h.Account.Versions(h.Account.Find("f")), 2)
}

func TestRubbishShowsTheBin(t *testing.T) {
	h := harness.New(t)
	write(t, h.Path("gone"), []byte("gone"))
	h.Drain()
	require.Empty(t, names(t, h.Path(".mega/rubbish")))
	require.NoError(t, os.Remove(h.Path("gone")))
	h.Drain()
	h.AwaitIn(tree.BinIno, "gone")
	require.Equal(t, []string{"gone"}, names(t, h.Path(".mega/rubbish")))
	requireContent(t, []byte("gone"), h.Path(".mega/rubbish/gone"))
	require.ErrorIs(t, os.Remove(h.Path(".mega/rubbish/gone")), unix.EPERM, "it goes only by emptying the bin")

	require.NoError(t, os.Rename(h.Path(".mega/rubbish/gone"), h.Path("back")))
	requireContent(t, []byte("gone"), h.Path("back"))
	h.Drain()
	requireInCloud(t, h, []byte("gone"), "back")
	require.Empty(t, names(t, h.Path(".mega/rubbish")))
}

func TestTheBinIsLeftOnly(t *testing.T) {
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "f", []byte("f"), mtime)
		d := a.Mkdir(a.Root(), "d")
		a.PutFile(d, "in d", []byte("in d"), mtime)
		a.Trash(d)
		a.Trash(a.PutFile(a.Root(), "gone", []byte("gone"), mtime))
	}))
	bin := func(elem ...string) string { return h.Path(append([]string{".mega/rubbish"}, elem...)...) }
	write(t, h.Path("new"), []byte("new"))

	for _, in := range []string{bin(), bin("d")} {
		to := filepath.Join(in, "x")
		require.ErrorIs(t, os.WriteFile(to, nil, 0o644), unix.EPERM)
		require.ErrorIs(t, os.Mkdir(to, 0o755), unix.EPERM)
		require.ErrorIs(t, os.Symlink("x", to), unix.EPERM)
		for _, from := range []string{h.Path("f"), h.Path("new"), bin("gone")} {
			require.ErrorIs(t, os.Rename(from, to), unix.EPERM)
		}
	}
	for _, at := range []string{h.Path("f"), bin("d/in d")} {
		require.ErrorIs(t, unix.Renameat2(unix.AT_FDCWD, bin("gone"), unix.AT_FDCWD, at, unix.RENAME_EXCHANGE), unix.EPERM)
		require.ErrorIs(t, unix.Renameat2(unix.AT_FDCWD, at, unix.AT_FDCWD, bin("gone"), unix.RENAME_EXCHANGE), unix.EPERM)
	}
	require.Equal(t, []string{"d", "gone"}, names(t, bin()))

	require.NoError(t, os.Rename(bin("d/in d"), h.Path("back")))
	h.Drain()
	requireInCloud(t, h, []byte("in d"), "back")
	requireInCloud(t, h, []byte("f"), "f")
	requireInCloud(t, h, []byte("new"), "new")
}

func TestVaultIsReadOnly(t *testing.T) {
	h := harness.New(t)
	require.Empty(t, names(t, h.Path(".mega/vault")))
	require.Equal(t, uint64(tree.VaultIno), inoOf(t, h.Path(".mega/vault")))
	require.ErrorIs(t, os.WriteFile(h.Path(".mega/vault/new"), nil, 0o644), unix.EROFS)
	require.ErrorIs(t, os.Mkdir(h.Path(".mega/vault/new"), 0o755), unix.EROFS)
	write(t, h.Path("f"), nil)
	require.ErrorIs(t, unix.Rename(h.Path("f"), h.Path(".mega/vault/f")), unix.EROFS)
}

// What MEGA's object storage keeps in the drive, and all below it, is to be read only, from the moment when it is heard of.
func TestObjectStorageIsReadOnly(t *testing.T) {
	var container string
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		container = a.Mkdir(a.Root(), "S4")
		a.PutFile(a.Mkdir(container, "bucket"), "object", []byte("text"), mtime)
		a.SetAttr(container, "s4", "{}")
	}))
	dir := h.Path("S4")
	requireContent(t, []byte("text"), h.Path("S4/bucket/object"))
	require.ErrorIs(t, os.WriteFile(h.Path("S4/bucket/object"), []byte("x"), 0o644), unix.EROFS)
	require.ErrorIs(t, os.WriteFile(h.Path("S4/bucket/new"), nil, 0o644), unix.EROFS)
	require.ErrorIs(t, os.Mkdir(h.Path("S4/new"), 0o755), unix.EROFS)
	require.ErrorIs(t, os.Remove(h.Path("S4/bucket/object")), unix.EROFS)
	require.ErrorIs(t, unix.Rename(h.Path("S4/bucket/object"), h.Path("object")), unix.EROFS)
	require.ErrorIs(t, unix.Rename(dir, h.Path("other")), unix.EROFS)
	write(t, h.Path("f"), []byte("f"))
	require.ErrorIs(t, unix.Rename(h.Path("f"), h.Path("S4/f")), unix.EROFS)

	require.NoError(t, os.Mkdir(h.Path("plain"), 0o755))
	write(t, h.Path("plain/f"), []byte("f"))
	h.Drain()
	h.Account.SetAttr(h.Account.Find("plain"), "s4", "{}")
	require.Eventually(t, func() bool {
		return errors.Is(os.WriteFile(h.Path("plain/f"), []byte("g"), 0o644), unix.EROFS)
	}, harness.Deadline, time.Millisecond)
}

// Shares stand under who owns them, appear and go live, and can be written as far as was granted.
func TestSharesOfOthers(t *testing.T) {
	h := harness.New(t)
	ben := h.Server.AddAccount("ben@example.com", "another")
	require.Empty(t, names(t, h.Path(".mega/shares")))
	folder := ben.Mkdir(ben.Root(), "open")
	ben.PutFile(folder, "f", []byte("text"), mtime)
	ben.Share(folder, h.Account, megaclient.AccessFull)
	h.AwaitIn(tree.SharesIno, "open")
	owners := names(t, h.Path(".mega/shares"))
	require.Len(t, owners, 1)
	dir := filepath.Join(h.Path(".mega/shares"), owners[0], "open")
	h.AwaitIn(tree.SharesIno, "open/f")
	requireContent(t, []byte("text"), filepath.Join(dir, "f"))
	write(t, filepath.Join(dir, "new"), []byte("new"))
	h.Drain()
	require.Equal(t, "new", string(ben.ReadFile(ben.Find("open/new"))))

	ben.Unshare(folder, h.Account)
	h.AwaitGoneIn(tree.SharesIno, "open")
	require.Empty(t, names(t, h.Path(".mega/shares")))
	_, err := os.Lstat(dir)
	require.True(t, errors.Is(err, os.ErrNotExist), "%v", err)
}

// Who shares something and isn't known is shown by the handle until the server has said who it is. What a program has
// opened by the handle, or where it stands, goes on.
func TestSharesTakeTheirOwnersName(t *testing.T) {
	h := harness.New(t)
	release := h.Server.Faults().Hold("uge")
	defer release()
	ben := h.Server.AddAccount("ben@example.com", "another")
	folder := ben.Mkdir(ben.Root(), "lent")
	ben.PutFile(folder, "f", []byte("text"), mtime)
	ben.Share(folder, h.Account, megaclient.AccessRead)
	h.AwaitIn(tree.SharesIno, "lent/f")
	for range 3 {
		require.Equal(t, []string{ben.Handle}, names(t, h.Path(".mega/shares")))
	}
	before := h.Path(".mega/shares", ben.Handle)
	ino := inoOf(t, before)
	_, err := os.Lstat(h.Path(".mega/shares/ben@example.com"))
	require.ErrorIs(t, err, os.ErrNotExist)
	dir, err := os.OpenRoot(before)
	require.NoError(t, err)
	defer func() { require.NoError(t, dir.Close()) }()

	release()
	require.Eventually(t, func() bool { return slices.Equal([]string{"ben@example.com"}, names(t, h.Path(".mega/shares"))) },
		harness.Deadline, time.Millisecond)
	for range 3 {
		require.Equal(t, []string{"ben@example.com"}, names(t, h.Path(".mega/shares")))
		requireContent(t, []byte("text"), h.Path(".mega/shares/ben@example.com/lent/f"))
		requireContent(t, []byte("text"), filepath.Join(before, "lent/f"))
	}
	require.Equal(t, ino, inoOf(t, h.Path(".mega/shares/ben@example.com")))
	text, err := dir.ReadFile("lent/f")
	require.NoError(t, err)
	require.Equal(t, "text", string(text))
}

// An address that no name can be as it is, whatever a server says, keeps nothing from being listed.
func TestSharesOfAnImpossibleAddress(t *testing.T) {
	h := harness.New(t)
	ben := h.Server.AddAccount("ben@example.com", "another")
	folder := ben.Mkdir(ben.Root(), "lent")
	ben.PutFile(folder, "f", []byte("text"), mtime)
	ben.Share(folder, h.Account, megaclient.AccessRead)
	h.AwaitIn(tree.SharesIno, "lent/f")
	stands := func(name string) {
		require.Eventually(t, func() bool {
			owners, err := os.ReadDir(h.Path(".mega/shares"))
			return err == nil && len(owners) == 1 && owners[0].Name() == name
		}, harness.Deadline, time.Millisecond)
		requireContent(t, []byte("text"), h.Path(".mega/shares", name, "lent/f"))
	}
	stands("ben@example.com") // so that the answer of who was asked for it is there
	for _, mail := range []string{"../../ben", "..", "a\x00b", strings.Repeat("/", 254)} {
		said, err := json.Marshal(map[string]any{"a": "se", "u": ben.Handle, "e": mail, "s": 3})
		require.NoError(t, err)
		h.Server.Faults().Tell(h.Account, string(said))
		stands(tree.Shown(mail))
	}
}

// After a full fetch the owner's address is known.
func TestSharesAreNamedByAddress(t *testing.T) {
	var ben *megatest.Account
	server := harness.New(t, harness.NoMount())
	ben = server.Server.AddAccount("ben@example.com", "another")
	folder := ben.Mkdir(ben.Root(), "lent")
	ben.PutFile(folder, "f", []byte("text"), mtime)
	ben.Share(folder, server.Account, megaclient.AccessRead)
	h := harness.New(t, harness.SameAccount(server))
	require.Equal(t, []string{"ben@example.com"}, names(t, h.Path(".mega/shares")))
	requireContent(t, []byte("text"), h.Path(".mega/shares/ben@example.com/lent/f"))
	require.ErrorIs(t, os.WriteFile(h.Path(".mega/shares/ben@example.com/lent/f"), []byte("x"), 0o644), unix.EACCES)
}
