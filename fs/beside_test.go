package fs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/fs"
	"megadisk/integration/harness"
)

// beside mounts the drive once more, as the process does for a second mount of the account.
func beside(t *testing.T, h *harness.Harness) (dir string, s *fs.Server) {
	t.Helper()
	dir = t.TempDir()
	s, err := fs.Mount(dir, fs.Options{
		Engine: h.Engine, Cache: h.Cache, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Umask: 0o022,
	})
	require.NoError(t, err)
	require.NoError(t, s.UseHere())
	t.Cleanup(func() { require.NoError(t, s.Unmount()) })
	return dir, s
}

// What a program goes on writing in one mount is read in another one of the process, and not zeros in its place: the
// kernel keeps the pages of each apart, and makes a page that ends with the file longer with those.
func TestWhatIsBeingWrittenIsReadInAnotherMount(t *testing.T) {
	h := harness.New(t)
	there, s := beside(t, h)
	f, err := os.Create(h.Path("log"))
	require.NoError(t, err)
	defer f.Close()
	for _, line := range []string{"one\n", "two\n"} {
		_, err = f.WriteString(line)
		require.NoError(t, err)
		require.NoError(t, f.Sync())
		require.NoError(t, s.Settled(t.Context()))
		want, err := os.ReadFile(h.Path("log"))
		require.NoError(t, err)
		require.Contains(t, string(want), line)
		got, err := os.ReadFile(filepath.Join(there, "log"))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
}
