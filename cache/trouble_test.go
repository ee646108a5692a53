package cache

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// troubles are cache folders that can't be used, from the start or from some moment on.
func TestTheCacheGoesOnWithoutItsFolder(t *testing.T) {
	for name, trouble := range map[string]struct {
		before func(t *testing.T, dir string)
		during func(t *testing.T, dir string)
	}{
		"a file in its place": {before: func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(dir, nil, 0o600))
		}},
		"may not be made": {before: func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Dir(dir)+"/x", nil, 0o600))
			require.NoError(t, os.Symlink(filepath.Dir(dir)+"/x/y", dir))
		}},
		"may not be written": {before: func(t *testing.T, dir string) {
			if os.Getuid() == 0 {
				t.Skip("SKIPPED: root may write everywhere")
			}
			require.NoError(t, os.Mkdir(dir, 0o500))
		}},
		"deleted": {during: func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) }},
		"replaced by a file": {during: func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.WriteFile(dir, nil, 0o600))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			a, b := seededFile(900_000, 1), seededFile(3<<20, 2)
			var out bytes.Buffer
			log := logrus.New()
			log.SetOutput(&out)
			if trouble.before != nil {
				trouble.before(t, dir)
			}
			c, _ := openMany(t, map[[8]byte]*cloudFile{a.Key.Nonce: a, b.Key.Nonce: b}, onDisk(dir), func(o *Options) { o.Log = log })
			readAll(t, c, a)
			if trouble.during != nil {
				<-c.store.listed
				trouble.during(t, dir)
			}
			readAll(t, c, b)
			readAll(t, c, a)
			require.NoError(t, c.Drop(a.File))
			readAll(t, c, a)
			require.NotEmpty(t, c.Stats().DiskOff)
			require.NoError(t, c.Close())
			require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("level=warning")), out.String())
		})
	}
}

func TestASecondProcessGoesWithoutDisk(t *testing.T) {
	f := makeFile(t, 900_000)
	cl := newCloud(f)
	dir := t.TempDir()
	first := cl.open(t, onDisk(dir))
	second := cl.open(t, onDisk(dir))
	readAll(t, first, f)
	readAll(t, second, f)
	require.Empty(t, first.Stats().DiskOff)
	require.Contains(t, second.Stats().DiskOff, "another process")
}

// Too many open files pass: what can't be opened goes without, and what was there is still there afterwards.
func TestTooManyOpenFiles(t *testing.T) {
	a, b := seededFile(2<<20, 1), seededFile(2<<20, 2)
	c, _ := openMany(t, map[[8]byte]*cloudFile{a.Key.Nonce: a, b.Key.Nonce: b}, onDisk(t.TempDir()))
	c.idleMost = 0 // files are closed with their last reader
	readAll(t, c, a)
	c.awaitVerified(t, a.File)
	before := c.State(a.File).Cached
	require.Positive(t, before)

	var was unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	restore := func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)) }
	none := was
	none.Cur = 0
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	defer restore()
	readAll(t, c, b)
	readAll(t, c, a)
	restore()
	require.Empty(t, c.Stats().DiskOff)
	require.Equal(t, before, c.State(a.File).Cached)
	readAll(t, c, b)
	require.Positive(t, c.State(b.File).Cached)
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Skip("SKIPPED: a small disk can't be mounted here: ", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	byNonce := map[[8]byte]*cloudFile{}
	var files []*cloudFile
	for i, size := range []int{900_000, 16 << 20, 900_001} {
		f := seededFile(size, uint64(i))
		files, byNonce[f.Key.Nonce] = append(files, f), f
	}
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	c, _ := openMany(t, byNonce, onDisk(filepath.Join(dir, "cache")), inMemory(minUnits), func(o *Options) { o.Log = log })
	for range 2 {
		for _, f := range files {
			readAll(t, c, f)
		}
	}
	require.Empty(t, c.Stats().DiskOff, "no room is not the end of it")
	require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("level=warning")), out.String())

	// Other programs take the rest.
	hog, err := os.Create(filepath.Join(dir, "hog"))
	require.NoError(t, err)
	for err == nil {
		_, err = hog.Write(make([]byte, 64<<10))
	}
	require.NoError(t, hog.Close())
	for _, f := range files {
		readAll(t, c, f)
		require.NoError(t, c.Drop(f.File))
		readAll(t, c, f)
	}
	require.NoError(t, os.Remove(hog.Name()))
	require.Empty(t, c.Stats().DiskOff)
	require.NoError(t, c.Close())
}
