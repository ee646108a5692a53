package fs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/writeback"
	"megadisk/writeback/tree"
)

func TestAMovedFolderKeepsItsNumber(t *testing.T) {
	f := newFake(t)
	dir, _ := mountFake(t, f)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "d"), 0o700))
	var st unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join(dir, "d"), &st))
	require.EqualValues(t, unix.S_IFDIR|0o700, st.Mode)
	require.EqualValues(t, 2, st.Nlink)
	require.ErrorIs(t, os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "e")), unix.EXDEV, "the engine's error comes through")
}

func TestASecondProcessFindsWhatTheFirstWrote(t *testing.T) {
	f := newFake(t)
	dir, _ := mountFake(t, f)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x"), []byte("bytes"), 0o600))
	out, err := exec.Command("cat", filepath.Join(dir, "x")).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "bytes", string(out))
}

func TestXattrs(t *testing.T) {
	f := newFake(t)
	ino := f.put(tree.DriveIno, "a", []byte("bytes"))
	dir, _ := mountFake(t, f)
	path := filepath.Join(dir, "a")
	buf := make([]byte, 100)
	for _, name := range []string{"security.capability", "security.selinux", "user.mega.handle", "user.mega.nonsense", "user.other"} {
		_, err := unix.Getxattr(path, name, buf)
		require.ErrorIs(t, err, unix.ENODATA, name)
	}
	n, err := unix.Getxattr(path, "user.mega.state", buf)
	require.NoError(t, err)
	require.Equal(t, "cloud", string(buf[:n]))
	n, err = unix.Getxattr(path, "user.mega.state", nil)
	require.NoError(t, err)
	require.Equal(t, len("cloud"), n)
	_, err = unix.Getxattr(path, "user.mega.state", buf[:2])
	require.ErrorIs(t, err, unix.ERANGE)

	f.mu.Lock()
	f.rows[ino].Cloud = &tree.Cloud{Handle: "ABCDEFGH", Owner: "abcdefghijk", Versions: 3}
	f.mu.Unlock()
	for name, want := range map[string]string{"path": "/a", "access": "owner", "owner": "abcdefghijk"} {
		n, err = unix.Getxattr(path, "user.mega."+name, buf)
		require.NoError(t, err, name)
		require.Equal(t, want, string(buf[:n]), name)
	}
	n, err = unix.Getxattr(path, "user.mega.handle", buf)
	require.NoError(t, err)
	require.Equal(t, "ABCDEFGH", string(buf[:n]))
	n, err = unix.Getxattr(path, "user.mega.versions", buf)
	require.NoError(t, err)
	require.Equal(t, "3", string(buf[:n]))

	n, err = unix.Listxattr(path, buf)
	require.NoError(t, err)
	require.Zero(t, n)
	require.ErrorIs(t, unix.Setxattr(path, "trusted.other", []byte("x"), 0), unix.ENOTSUP)
	require.ErrorIs(t, unix.Setxattr(path, "security.other", []byte("x"), 0), unix.ENOTSUP)
	require.ErrorIs(t, unix.Setxattr(path, "user.mega.handle", []byte("x"), 0), unix.EPERM)
	require.ErrorIs(t, unix.Removexattr(path, "user.mega.handle"), unix.EPERM)
}

// TestStateInAWord: of what holds of a file, user.mega.state says what matters most.
func TestStateInAWord(t *testing.T) {
	f := newFake(t)
	var pinned atomic.Bool
	b := newBridge(f, f, Options{Pinned: func(tree.Inode) bool { return pinned.Load() }})
	ino := f.put(tree.DriveIno, "a (conflict 2026-01-02 host-AB12)", []byte("bytes"))
	is := func(state string) {
		t.Helper()
		got, err := b.megaAttr(ino, "state")
		require.NoError(t, err)
		require.Equal(t, state, got)
	}
	stuck := writeback.FileState{Is: writeback.Stuck, Why: "the account is full"}
	f.changes[ino] = stuck
	is("error")
	why, err := b.megaAttr(ino, "reason")
	require.NoError(t, err)
	require.Equal(t, stuck.Why, why)
	delete(f.changes, ino)
	is("conflict")
	f.rows[ino].Name = "a"
	pinned.Store(true)
	f.changes[ino] = writeback.FileState{Is: writeback.Uploading}
	is("uploading")
	f.changes[ino] = writeback.FileState{Is: writeback.Dirty}
	is("dirty")
	delete(f.changes, ino)
	is("pinned")
	pinned.Store(false)
	is("cloud")
	_, err = b.megaAttr(ino, "reason")
	require.ErrorIs(t, err, writeback.ErrNoXattr)
	f.rows[ino].Size = 0
	is("cached")
	f.rows[ino].Kind = tree.Dir
	is("cloud")
}

func TestRefusals(t *testing.T) {
	f := newFake(t)
	dir, _ := mountFake(t, f)
	path := filepath.Join(dir, "a")
	require.NoError(t, os.WriteFile(path, []byte("0123456789"), 0o644))
	require.ErrorIs(t, os.Link(path, path+"2"), unix.EPERM)
	require.ErrorIs(t, unix.Mkfifo(path+"2", 0o644), unix.EPERM)
	require.NoError(t, unix.Mknod(path+"3", unix.S_IFREG|0o600, 0))
	require.ErrorIs(t, os.Chown(path, os.Geteuid()+1, -1), unix.EPERM)
	require.ErrorIs(t, os.Chown(path, -1, os.Getegid()+1), unix.EPERM)
	require.NoError(t, os.Chown(path, os.Geteuid(), os.Getegid()))
	require.ErrorIs(t, unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, path+"3", unix.RENAME_WHITEOUT), unix.EINVAL)
	long := filepath.Join(dir, strings.Repeat("n", 256))
	_, err := os.Stat(long)
	require.ErrorIs(t, err, unix.ENAMETOOLONG)
	require.ErrorIs(t, os.WriteFile(long, nil, 0o644), unix.ENAMETOOLONG)

	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	fd := int(file.Fd())
	require.ErrorIs(t, unix.Fallocate(fd, unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096), unix.ENOTSUP)
	require.NoError(t, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 100))
	require.NoError(t, unix.Fallocate(fd, 0, 5, 15))
	info, err := file.Stat()
	require.NoError(t, err)
	require.EqualValues(t, 20, info.Size())
}
