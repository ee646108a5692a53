package fs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/writeback/tree"
)

// mountFake mounts a fake engine; the test's end unmounts it.
func mountFake(t *testing.T, f *fake) (dir string, s *Server) {
	t.Helper()
	return mountFakeWith(t, f, Options{Umask: 0o022}, os.Geteuid() == 0)
}

func mountFakeWith(t *testing.T, f *fake, o Options, direct bool) (dir string, s *Server) {
	t.Helper()
	needs.FUSE(t)
	dir = t.TempDir()
	o.UID, o.GID = uint32(os.Geteuid()), uint32(os.Getegid())
	s, err := mount(dir, f, f, o, direct)
	require.NoError(t, err)
	require.NoError(t, s.UseHere())
	t.Cleanup(func() { require.NoError(t, s.Unmount()) })
	return dir, s
}

func TestWhatTheKernelSeesOfTheMount(t *testing.T) {
	f := newFake(t)
	f.put(tree.DriveIno, "file", []byte("hello"))
	dir, _ := mountFake(t, f)

	var sfs unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &sfs))
	require.EqualValues(t, 4096, sfs.Bsize)
	require.EqualValues(t, 255, sfs.Namelen)
	require.EqualValues(t, 100<<30/4096, sfs.Blocks)
	require.EqualValues(t, 75<<30/4096, sfs.Bavail)
	require.NotZero(t, sfs.Flags&unix.ST_NOSUID)
	require.NotZero(t, sfs.Flags&unix.ST_NODEV)

	kind, ok, err := mountAt(dir)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "fuse.megadisk", kind)

	var st unix.Stat_t
	require.NoError(t, unix.Stat(dir, &st))
	require.EqualValues(t, unix.S_IFDIR|0o755, st.Mode)
	require.EqualValues(t, 1, st.Ino)
	require.NoError(t, unix.Stat(filepath.Join(dir, "file"), &st))
	require.EqualValues(t, unix.S_IFREG|0o644, st.Mode)
	require.EqualValues(t, 16, st.Ino)
	require.EqualValues(t, 5, st.Size)
	require.EqualValues(t, 1, st.Blocks)
	require.EqualValues(t, 1, st.Nlink)
	require.EqualValues(t, 128<<10, st.Blksize)
	require.EqualValues(t, os.Geteuid(), st.Uid)
	require.EqualValues(t, 16, st.Mtim.Sec)
}

func TestBeforeTheFirstTreeIsThere(t *testing.T) {
	f := newFake(t)
	f.fetched = make(chan struct{})
	f.put(tree.DriveIno, "early", []byte("x"))
	dir, s := mountFake(t, f)
	_, err := os.Stat(filepath.Join(dir, "early"))
	require.NoError(t, err, "what has come is shown")
	require.Equal(t, []string{"early"}, names(t, dir))

	// What isn't there may still come; a creation waits too.
	type result struct {
		what string
		err  error
	}
	results := make(chan result, 2)
	go func() { _, err := os.Stat(filepath.Join(dir, "late")); results <- result{"stat", err} }()
	go func() { results <- result{"mkdir", os.Mkdir(filepath.Join(dir, "new"), 0o755)} }()
	require.False(t, s.bridge.ready.Load())
	f.put(tree.DriveIno, "late", nil)
	require.Empty(t, results)
	close(f.fetched)
	for range 2 {
		r := <-results
		require.NoError(t, r.err, r.what)
	}
}

func TestAPanicAnswersEIO(t *testing.T) {
	f := newFake(t)
	f.onMkdir = func(context.Context) error { panic("secret name") }
	log, hook := logtest.NewNullLogger()
	dir, _ := mountFakeWith(t, f, Options{Log: log}, os.Geteuid() == 0)
	require.ErrorIs(t, os.Mkdir(filepath.Join(dir, "d"), 0o755), unix.EIO)
	_, err := os.Stat(dir)
	require.NoError(t, err, "the mount goes on")
	require.NotNil(t, hook.LastEntry())
	require.Equal(t, logrus.ErrorLevel, hook.LastEntry().Level)
	require.NotContains(t, hook.LastEntry().Message, "secret")
}

func TestMountErrors(t *testing.T) {
	needs.FUSE(t)
	f := newFake(t)
	base := t.TempDir()
	file := filepath.Join(base, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	direct := os.Geteuid() == 0
	for path, want := range map[string]error{
		filepath.Join(base, "missing"): ErrNoMountpoint,
		file:                           ErrNotDirectory,
		"/proc":                        ErrMounted,
	} {
		_, err := mount(path, f, f, Options{}, direct)
		var typed *MountError
		require.ErrorAs(t, err, &typed, path)
		require.ErrorIs(t, err, want)
		require.Equal(t, "mount", typed.Op)
	}

	dir, s := mountFake(t, f)
	_, err := mount(dir, f, f, Options{}, direct)
	require.ErrorIs(t, err, ErrMounted)

	open, err := os.Open(dir)
	require.NoError(t, err)
	require.ErrorIs(t, s.Unmount(), ErrBusy)
	_, err = os.Stat(dir)
	require.NoError(t, err, "a busy mount goes on")
	require.NoError(t, open.Close())
	require.NoError(t, s.Unmount())
	require.NoError(t, s.Unmount(), "a second time is nothing to do")
	s.Wait()
}

func TestTheHelperMountsToo(t *testing.T) {
	needs.FUSE(t)
	if _, err := fusermount(); err != nil {
		t.Skip("SKIPPED, NOT RUN: fusermount3 is missing")
	}
	f := newFake(t)
	dir, s := mountFakeWith(t, f, Options{ReadOnly: true, FsName: "some,name"}, false)
	var sfs unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &sfs))
	require.NotZero(t, sfs.Flags&unix.ST_RDONLY)
	require.NotZero(t, sfs.Flags&unix.ST_NOSUID)
	require.ErrorIs(t, os.Mkdir(filepath.Join(dir, "d"), 0o755), unix.EROFS)
	open, err := os.Open(dir)
	require.NoError(t, err)
	require.ErrorIs(t, s.Unmount(), ErrBusy)
	require.NoError(t, open.Close())
	require.NoError(t, s.Unmount())
}

func TestReadOnlyMount(t *testing.T) {
	dir, _ := mountFakeWith(t, newFake(t), Options{ReadOnly: true}, os.Geteuid() == 0)
	require.ErrorIs(t, os.Mkdir(filepath.Join(dir, "d"), 0o755), unix.EROFS)
}

func TestUnmountFromOutsideEndsTheServer(t *testing.T) {
	f := newFake(t)
	dir, s := mountFake(t, f)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o644))
	require.NoError(t, unmount(dir, os.Geteuid() == 0))
	s.Wait()
	require.Nil(t, f.self, "the engine knows that this kernel has forgotten everything")
}

func TestAStaleMountIsNamed(t *testing.T) {
	needs.FUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT RUN: only root can mount without a helper")
	}
	dir := t.TempDir()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Mount("dead", dir, "fuse.megadisk", unix.MS_NODEV|unix.MS_NOSUID,
		fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	require.NoError(t, unix.Close(fd)) // as when its process dies
	f := newFake(t)
	_, err = mount(dir, f, f, Options{}, true)
	require.ErrorIs(t, err, ErrStale)
}
