package fs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
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
	t.Cleanup(func() { require.NoError(t, s.Unmount()) })
	return dir, s
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	var all []string
	for _, e := range list {
		all = append(all, e.Name())
	}
	return all
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

// From the third ls on, a listing comes from the kernel's cache; that is where a missing notify shows.
func TestARemoteChangeIsSeenInACachedListing(t *testing.T) {
	f := newFake(t)
	f.put(tree.DriveIno, "a", nil)
	dir, s := mountFake(t, f)
	for range 4 {
		require.Equal(t, []string{"a"}, names(t, dir))
	}
	_, err := os.Stat(filepath.Join(dir, "b"))
	require.ErrorIs(t, err, os.ErrNotExist) // and that is cached

	f.put(tree.DriveIno, "b", []byte("x"))
	require.NoError(t, s.Settled(t.Context()))
	for range 4 {
		require.Equal(t, []string{"a", "b"}, names(t, dir))
	}
	_, err = os.Stat(filepath.Join(dir, "b"))
	require.NoError(t, err)

	f.drop(tree.DriveIno, "a")
	require.NoError(t, s.Settled(t.Context()))
	for range 4 {
		require.Equal(t, []string{"b"}, names(t, dir))
	}
	_, err = os.Stat(filepath.Join(dir, "a"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestANameNeverLookedUpGoesFromACachedListingToo(t *testing.T) {
	f := newFake(t)
	dir, s := mountFake(t, f)
	for i := range 4 {
		f.put(tree.DriveIno, fmt.Sprint("f", i), nil)
		require.NoError(t, s.Settled(t.Context()))
		for range 3 {
			require.Len(t, names(t, dir), i+1)
		}
	}
}

func TestRemoteContentReplacesCachedPages(t *testing.T) {
	f := newFake(t)
	f.put(tree.DriveIno, "a", []byte("old content"))
	var reads atomic.Int32
	f.onRead = func(context.Context, tree.Ino) error { reads.Add(1); return nil }
	dir, s := mountFake(t, f)
	path := filepath.Join(dir, "a")
	for range 3 {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "old content", string(got))
	}
	require.EqualValues(t, 1, reads.Load(), "the page cache is kept across opens")

	f.put(tree.DriveIno, "a", []byte("new and longer content"))
	require.NoError(t, s.Settled(t.Context()))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "new and longer content", string(got))
}

// The change is committed, its event is still on its way, and the kernel has the old pages: an open that comes now gets
// the new version, and must not be answered from them.
func TestAnOpenOvertakesTheEventOfAChange(t *testing.T) {
	f := newFake(t)
	f.put(tree.DriveIno, "a", []byte("old"))
	dir, _ := mountFake(t, f)
	path := filepath.Join(dir, "a")
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(got))

	f.mu.Lock()
	f.noted = make(chan struct{}, 10)
	f.mu.Unlock()
	f.deliver.Lock()
	f.put(tree.DriveIno, "a", []byte("new"))
	type result struct {
		got []byte
		err error
	}
	results := make(chan result, 1)
	go func() {
		got, err := os.ReadFile(path)
		results <- result{got, err}
	}()
	select {
	case <-f.noted: // it waits for the events
	case r := <-results:
		f.deliver.Unlock()
		require.FailNow(t, "read before the event", "%q %v", r.got, r.err)
	}
	f.deliver.Unlock()
	r := <-results
	require.NoError(t, r.err)
	require.Equal(t, "new", string(r.got))
}

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

func TestALongListingSurvivesChangesBetweenItsParts(t *testing.T) {
	f := newFake(t)
	for i := range 1000 {
		f.put(tree.DriveIno, fmt.Sprintf("f%04d", i*2), nil)
	}
	dir, s := mountFake(t, f)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	require.NoError(t, err)
	defer unix.Close(fd)

	seen := map[string]int{}
	part := func() int {
		buf := make([]byte, 4096)
		n, err := unix.ReadDirent(fd, buf)
		require.NoError(t, err)
		_, count, list := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range list {
			seen[name]++
		}
		return count
	}
	require.NotZero(t, part())
	// Changed before, at, and behind the place that was reached: what stays is given exactly once.
	f.put(tree.DriveIno, "f0000.", nil)
	f.drop(tree.DriveIno, "f0002")
	f.drop(tree.DriveIno, "f1500")
	f.put(tree.DriveIno, "f1501", nil)
	last := slices.Max(keys(seen))
	f.drop(tree.DriveIno, last)
	require.NoError(t, s.Settled(t.Context()))
	for part() > 0 {
	}
	for i := range 1000 {
		name := fmt.Sprintf("f%04d", i*2)
		switch name {
		case "f1500":
			require.Zero(t, seen[name])
		default:
			require.Equal(t, 1, seen[name], name)
		}
	}
	require.Equal(t, 1, seen["f1501"])
}

func keys(m map[string]int) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}

// A second handle is given the first part from the kernel's cache, and goes on at a cookie that it never gave.
func TestACookieIsGoodInAnotherHandle(t *testing.T) {
	f := newFake(t)
	for i := range 500 {
		f.put(tree.DriveIno, fmt.Sprintf("f%04d", i), nil)
	}
	dir, _ := mountFake(t, f)
	first, err := os.Open(dir)
	require.NoError(t, err)
	defer first.Close()
	_, err = first.Readdirnames(10)
	require.NoError(t, err)
	require.Len(t, names(t, dir), 500)
	require.Len(t, names(t, dir), 500)
	rest, err := first.Readdirnames(-1)
	require.NoError(t, err)
	require.Len(t, rest, 490)
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

// The kernel interrupts a request only where a program waits for that request itself: O_DIRECT here. Buffered reads wait
// for pages, which the kernel reads in the background and doesn't interrupt.
func TestAnInterruptedReadIsAnsweredIfItsDataComesSoon(t *testing.T) {
	f := newFake(t)
	f.put(tree.DriveIno, "a", []byte("content"))
	reading, release := make(chan struct{}), make(chan struct{})
	interrupted := make(chan bool, 1)
	f.onRead = func(ctx context.Context, _ tree.Ino) error {
		close(reading)
		<-release
		<-ctx.(*request).cancel
		interrupted <- true
		return ctx.Err()
	}
	dir, _ := mountFake(t, f)
	cmd := exec.Command("dd", "iflag=direct", "bs=4096", "count=1", "status=none", "if="+filepath.Join(dir, "a"))
	out := &strings.Builder{}
	cmd.Stdout = out
	require.NoError(t, cmd.Start())
	<-reading
	require.NoError(t, cmd.Process.Signal(unix.SIGUSR1)) // dd catches it, and prints figures
	close(release)
	require.NoError(t, cmd.Wait())
	require.True(t, <-interrupted)
	require.Equal(t, "content", out.String())
}

func TestAKilledReaderIsLetGo(t *testing.T) {
	for name, program := range map[string][]string{
		"direct":   {"dd", "iflag=direct", "bs=4096", "count=1", "status=none"},
		"buffered": {"dd", "bs=4096", "count=1", "status=none"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.put(tree.DriveIno, "a", []byte("content"))
			reading, ended := make(chan struct{}), make(chan error, 1)
			f.onRead = func(ctx context.Context, _ tree.Ino) error {
				close(reading)
				<-ctx.Done()
				ended <- ctx.Err()
				return fmt.Errorf("fetching: %w", ctx.Err())
			}
			dir, s := mountFake(t, f)
			cmd := exec.Command(program[0], append(program[1:], "if="+filepath.Join(dir, "a"))...)
			require.NoError(t, cmd.Start())
			<-reading
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())
			if name == "buffered" {
				require.NoError(t, s.Unmount(), "what still waits doesn't hold the mount")
			}
			require.ErrorIs(t, <-ended, context.Canceled)
		})
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

func TestRemovedInodesAreForgotten(t *testing.T) {
	f := newFake(t)
	dir, s := mountFake(t, f)
	path := filepath.Join(dir, "a")
	open, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	require.NoError(t, s.Settled(t.Context()))
	require.NotContains(t, f.forgotten(), tree.Ino(16), "it is still open")
	_, err = open.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, open.Close())

	f.put(tree.DriveIno, "never looked up", nil)
	f.drop(tree.DriveIno, "never looked up")
	require.NoError(t, s.Settled(t.Context()))
	require.Contains(t, f.forgotten(), tree.Ino(17), "no FORGET will come for what the kernel never knew")
}

func (f *fake) forgotten() []tree.Ino {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.forgot)
}

func TestXattrs(t *testing.T) {
	f := newFake(t)
	ino := f.put(tree.DriveIno, "a", nil)
	dir, _ := mountFake(t, f)
	path := filepath.Join(dir, "a")
	buf := make([]byte, 100)
	for _, name := range []string{"security.capability", "security.selinux", "user.mega.handle", "user.mega.nonsense", "user.other"} {
		_, err := unix.Getxattr(path, name, buf)
		require.ErrorIs(t, err, unix.ENODATA, name)
	}
	n, err := unix.Getxattr(path, "user.mega.state", buf)
	require.NoError(t, err)
	require.Equal(t, "synced", string(buf[:n]))
	n, err = unix.Getxattr(path, "user.mega.state", nil)
	require.NoError(t, err)
	require.Equal(t, len("synced"), n)
	_, err = unix.Getxattr(path, "user.mega.state", buf[:2])
	require.ErrorIs(t, err, unix.ERANGE)

	f.mu.Lock()
	f.rows[ino].Cloud = &tree.Cloud{Handle: "ABCDEFGH", Versions: 3}
	f.mu.Unlock()
	n, err = unix.Getxattr(path, "user.mega.handle", buf)
	require.NoError(t, err)
	require.Equal(t, "ABCDEFGH", string(buf[:n]))
	n, err = unix.Getxattr(path, "user.mega.versions", buf)
	require.NoError(t, err)
	require.Equal(t, "3", string(buf[:n]))

	n, err = unix.Listxattr(path, buf)
	require.NoError(t, err)
	require.Zero(t, n)
	require.ErrorIs(t, unix.Setxattr(path, "user.other", []byte("x"), 0), unix.ENOTSUP)
	require.ErrorIs(t, unix.Setxattr(path, "user.mega.handle", []byte("x"), 0), unix.EPERM)
	require.ErrorIs(t, unix.Removexattr(path, "user.other"), unix.ENOTSUP)
}

func TestRefusals(t *testing.T) {
	f := newFake(t)
	dir, _ := mountFake(t, f)
	path := filepath.Join(dir, "a")
	require.NoError(t, os.WriteFile(path, []byte("0123456789"), 0o644))
	require.ErrorIs(t, os.Link(path, path+"2"), unix.EPERM)
	require.ErrorIs(t, os.Symlink("a", path+"2"), unix.EPERM)
	require.ErrorIs(t, unix.Mkfifo(path+"2", 0o644), unix.EPERM)
	require.NoError(t, unix.Mknod(path+"3", unix.S_IFREG|0o600, 0))
	require.ErrorIs(t, os.Chown(path, os.Geteuid()+1, -1), unix.EPERM)
	require.ErrorIs(t, os.Chown(path, -1, os.Getegid()+1), unix.EPERM)
	require.NoError(t, os.Chown(path, os.Geteuid(), os.Getegid()))
	require.ErrorIs(t, unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, path+"3", unix.RENAME_EXCHANGE), unix.EINVAL)
	long := filepath.Join(dir, strings.Repeat("n", 256))
	_, err := os.Stat(long)
	require.ErrorIs(t, err, unix.ENAMETOOLONG)
	require.ErrorIs(t, os.WriteFile(long, nil, 0o644), unix.ENAMETOOLONG)

	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	fd := int(file.Fd())
	require.ErrorIs(t, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1), unix.ENOTSUP)
	require.NoError(t, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 100))
	require.NoError(t, unix.Fallocate(fd, 0, 5, 15))
	info, err := file.Stat()
	require.NoError(t, err)
	require.EqualValues(t, 20, info.Size())
	hole, err := unix.Seek(fd, 0, unix.SEEK_HOLE)
	require.NoError(t, err)
	require.EqualValues(t, 20, hole)
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
