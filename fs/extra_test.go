package fs_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/harness"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// What MEGA has no place for: it comes back here, on another megadisk, and after a new fetch.

// everywhere checks on the mount, on another megadisk of the account, and on the first one after a restart.
func everywhere(t *testing.T, h *harness.Harness, state string, check func(*testing.T, *harness.Harness)) {
	t.Helper()
	check(t, h)
	h.Drain()
	check(t, h)
	check(t, harness.New(t, harness.SameAccount(h)))
	if state != "" {
		h.Stop()
		check(t, harness.New(t, harness.WithState(state), harness.SameAccount(h)))
	}
}

func getXattr(t *testing.T, path, name string) string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Lgetxattr(path, name, buf)
	require.NoError(t, err, name)
	return string(buf[:n])
}

func listXattrs(t *testing.T, path string) []string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	require.NoError(t, err)
	if n == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
}

func TestModesTimesAndXattrsTravel(t *testing.T) {
	state := t.TempDir()
	h := harness.New(t, harness.WithState(state))
	when := time.Unix(1234567890, 123456789)
	write(t, h.Path("f"), []byte("content"))
	require.NoError(t, os.Mkdir(h.Path("d"), 0o755))
	for _, name := range []string{"f", "d"} {
		require.NoError(t, unix.Setxattr(h.Path(name), "user.colour", []byte("re\x00d"), 0))
		require.NoError(t, unix.Setxattr(h.Path(name), "user.empty", nil, unix.XATTR_CREATE))
		require.NoError(t, os.Chmod(h.Path(name), 0o751))
		require.NoError(t, os.Chtimes(h.Path(name), when, when))
	}
	everywhere(t, h, state, func(t *testing.T, h *harness.Harness) {
		for _, name := range []string{"f", "d"} {
			info, err := os.Stat(h.Path(name))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o751), info.Mode().Perm(), name)
			require.Equal(t, when.UnixNano(), info.ModTime().UnixNano(), name)
			require.Equal(t, []string{"user.colour", "user.empty"}, listXattrs(t, h.Path(name)))
			require.Equal(t, "re\x00d", getXattr(t, h.Path(name), "user.colour"))
			require.Equal(t, "", getXattr(t, h.Path(name), "user.empty"))
		}
	})
	require.True(t, h.Account.Tree()["f"].Mtime.Equal(when.Truncate(time.Second)), "other clients see the time")
}

// What is in the cloud already changes there, and on other mounts that are looking.
func TestAttributesOfWhatIsInTheCloud(t *testing.T) {
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		f := a.PutFile(a.Root(), "f", []byte("content"), mtime)
		a.SetAttr(f, "fav", "1")
		a.Mkdir(a.Root(), "d")
	}))
	other := harness.New(t, harness.SameAccount(h))
	require.NoError(t, os.Chmod(h.Path("f"), 0o700))
	require.NoError(t, os.Chmod(h.Path("d"), 0o700))
	require.NoError(t, unix.Setxattr(h.Path("f"), "user.a", []byte("1"), 0))
	h.Drain()
	for _, name := range []string{"f", "d"} {
		other.AwaitInode(name, func(in tree.Inode) bool { return in.Mode == 0o700 })
		require.Equal(t, os.FileMode(0o700), fileMode(t, other.Path(name)).Perm())
	}
	other.AwaitInode("f", func(in tree.Inode) bool { return in.Xattrs["a"] == "1" })
	require.Equal(t, "1", getXattr(t, other.Path("f"), "user.a"))
	require.True(t, h.Account.Tree()["f"].Mtime.Equal(mtime))
	fav, _ := h.Account.Attrs(h.Account.Find("f")).String("fav")
	require.Equal(t, "1", fav, "attributes of other clients stay")

	require.NoError(t, unix.Setxattr(other.Path("f"), "user.b", []byte("2"), 0))
	require.NoError(t, unix.Removexattr(other.Path("f"), "user.a"))
	other.Drain()
	h.AwaitInode("f", func(in tree.Inode) bool { return in.Xattrs["b"] == "2" })
	require.Equal(t, []string{"user.b"}, listXattrs(t, h.Path("f")))
	require.NoError(t, unix.Removexattr(h.Path("f"), "user.b"))
	h.Drain()
	other.AwaitInode("f", func(in tree.Inode) bool { return len(in.Xattrs) == 0 })
	require.Empty(t, listXattrs(t, other.Path("f")))
}

// Nothing is written into a node for what no program asked for.
func TestUnusedAttributesAreNotWritten(t *testing.T) {
	h := harness.New(t)
	h.Run(".", "umask 027; echo a > plain; mkdir folder; touch plain; cp plain copy; echo more >> plain; chmod 640 plain")
	h.Drain()
	for _, name := range []string{"plain", "copy", "folder"} {
		_, set := h.Account.Attrs(h.Account.Find(name)).String(tree.ExtraName)
		require.False(t, set, name)
	}
	require.Equal(t, os.FileMode(0o640), fileMode(t, h.Path("plain")).Perm(), "here it is known all the same")
	require.NoError(t, os.WriteFile(h.Path("secret"), nil, 0o600))
	h.Drain()
	_, set := h.Account.Attrs(h.Account.Find("secret")).String(tree.ExtraName)
	require.True(t, set, "a program wanted this mode")
}

func TestXattrRules(t *testing.T) {
	h := harness.New(t)
	path := h.Path("f")
	write(t, path, nil)
	set := func(name, value string, flags int) error { return unix.Setxattr(path, name, []byte(value), flags) }
	require.ErrorIs(t, set("user.a", "1", unix.XATTR_REPLACE), unix.ENODATA)
	require.NoError(t, set("user.a", "1", unix.XATTR_CREATE))
	require.ErrorIs(t, set("user.a", "2", unix.XATTR_CREATE), unix.EEXIST)
	require.NoError(t, set("user.a", "3", unix.XATTR_REPLACE))
	require.Equal(t, "3", getXattr(t, path, "user.a"))
	require.ErrorIs(t, unix.Removexattr(path, "user.b"), unix.ENODATA)
	require.NoError(t, set("user.big", strings.Repeat("x", 4000), 0))
	require.ErrorIs(t, set("user.more", strings.Repeat("x", 100), 0), unix.ENOSPC)
	require.NoError(t, set("user.big", "small again", 0))
	require.NoError(t, set("user.more", strings.Repeat("x", 100), 0))
	require.ErrorIs(t, set("trusted.a", "1", 0), unix.ENOTSUP)
	require.ErrorIs(t, set("user.mega.state", "1", 0), unix.EPERM)
	require.Equal(t, []string{"user.a", "user.big", "user.more"}, listXattrs(t, path))
}

func TestSymlinks(t *testing.T) {
	state := t.TempDir()
	h := harness.New(t, harness.WithState(state))
	long := strings.Repeat("long/", 800)
	require.NoError(t, os.Symlink("../else where", h.Path("link")))
	require.NoError(t, os.Symlink(long, h.Path("long")))
	require.NoError(t, os.Symlink("/", h.Path("other")))
	require.NoError(t, os.Rename(h.Path("other"), h.Path("root")))
	write(t, h.Path("target"), []byte("through"))
	require.NoError(t, os.Symlink("target", h.Path("through")))
	require.ErrorIs(t, os.Symlink("again", h.Path("link")), unix.EEXIST)
	require.ErrorIs(t, os.Symlink(strings.Repeat("x", 4096), h.Path("too long")), unix.ENAMETOOLONG)
	everywhere(t, h, state, func(t *testing.T, h *harness.Harness) {
		for name, want := range map[string]string{"link": "../else where", "long": long, "root": "/", "through": "target"} {
			got, err := os.Readlink(h.Path(name))
			require.NoError(t, err, name)
			require.Equal(t, want, got)
			info, err := os.Lstat(h.Path(name))
			require.NoError(t, err)
			require.Equal(t, os.ModeSymlink|0o777, info.Mode(), name)
			require.EqualValues(t, len(want), info.Size())
		}
		requireContent(t, []byte("through"), h.Path("through"))
		entries, err := os.ReadDir(h.Dir)
		require.NoError(t, err)
		require.Equal(t, os.ModeSymlink, entries[0].Type(), "in a listing too")
	})
	requireInCloud(t, h, []byte("../else where"), "link")
}

// A link that takes the place of a file, and the other way round, on this mount and on one that looks on.
func TestSymlinkReplaces(t *testing.T) {
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "f", []byte("file"), mtime)
	}))
	other := harness.New(t, harness.SameAccount(h))
	requireContent(t, []byte("file"), other.Path("f"))
	h.Run(".", "ln -s elsewhere new && mv -T new f")
	h.Drain()
	other.AwaitInode("f", func(in tree.Inode) bool { return in.IsLink() })
	got, err := os.Readlink(other.Path("f"))
	require.NoError(t, err)
	require.Equal(t, "elsewhere", got)
	h.Run(".", "echo file again > new && mv -T new f")
	h.Drain()
	other.AwaitInode("f", func(in tree.Inode) bool { return !in.IsLink() && in.Size == 11 })
	requireContent(t, []byte("file again\n"), other.Path("f"))
	require.Len(t, h.Account.Versions(h.Account.Find("f")), 3, "each is a version of the one before")
}

// What a node has stays with it whatever is done to it.
func TestAttributesStayThrough(t *testing.T) {
	h := harness.New(t)
	write(t, h.Path("f"), []byte("one"))
	require.NoError(t, os.Chmod(h.Path("f"), 0o700))
	require.NoError(t, unix.Setxattr(h.Path("f"), "user.a", []byte("1"), 0))
	h.Drain()
	check := func(name string) {
		t.Helper()
		h.Drain()
		second := harness.New(t, harness.SameAccount(h))
		for _, m := range []*harness.Harness{h, second} {
			require.Equal(t, os.FileMode(0o700), fileMode(t, m.Path(name)).Perm(), name)
			require.Equal(t, "1", getXattr(t, m.Path(name), "user.a"), name)
		}
	}
	h.Run(".", "echo two >> f")
	check("f")
	h.Run(".", "echo three > f") // truncated and written
	check("f")
	h.Run(".", "mkdir d; mv f d/g")
	check("d/g")
	h.Account.Rename(h.Account.Find("d/g"), "h")
	h.Await("d/h")
	check("d/h")
	bin := h.Account.Find("d/h")
	h.Run(".", "rm d/h")
	h.Drain()
	require.True(t, h.Account.InRubbish(bin))
	h.Account.Move(bin, h.Account.Root())
	h.Await("h")
	check("h")
}

// Programs that copy attributes get what they gave.
func TestProgramsKeepAttributes(t *testing.T) {
	h := harness.New(t)
	from := t.TempDir()
	write(t, from+"/f", []byte("content"))
	if err := unix.Setxattr(from+"/f", "user.a", []byte("1"), 0); err != nil {
		t.Skip("the disk of temporary files has no xattrs: ", err)
	}
	require.NoError(t, os.Chmod(from+"/f", 0o741))
	require.NoError(t, os.Symlink("f", from+"/link"))
	require.NoError(t, os.Mkdir(from+"/d", 0o750))
	when := time.Unix(1400000000, 987654321)
	require.NoError(t, os.Chtimes(from+"/f", when, when))
	require.NoError(t, os.Chtimes(from+"/d", when, when))
	commands := map[string]string{"cp": "cp -a " + from + " cp"}
	if _, err := exec.LookPath("rsync"); err == nil {
		commands["rsync"] = "rsync -aX " + from + "/ rsync"
	}
	for name, command := range commands {
		h.Run(".", command)
		h.Drain()
		for _, m := range []*harness.Harness{h, harness.New(t, harness.SameAccount(h))} {
			var st unix.Stat_t
			require.NoError(t, unix.Stat(m.Path(name+"/f"), &st))
			require.EqualValues(t, 0o741, st.Mode&0o777, name)
			require.Equal(t, when.UnixNano(), st.Mtim.Nano(), name)
			require.Equal(t, "1", getXattr(t, m.Path(name+"/f"), "user.a"), name)
			require.NoError(t, unix.Stat(m.Path(name+"/d"), &st))
			require.EqualValues(t, syscall.S_IFDIR|0o750, st.Mode, name)
			require.Equal(t, when.UnixNano(), st.Mtim.Nano(), name)
			link, err := os.Readlink(m.Path(name + "/link"))
			require.NoError(t, err)
			require.Equal(t, "f", link)
		}
	}
}
