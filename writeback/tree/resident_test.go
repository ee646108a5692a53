package tree

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestMapsLetGo: what was read of the tables isn't resident any more, and all of it can be read as before.
func TestMapsLetGo(t *testing.T) {
	tr := large(t, 40, 1000)
	require.NoError(t, tr.db.Flatten(1))
	read := func() {
		dirs, err := tr.ReadDir(DriveIno, "", 0)
		require.NoError(t, err)
		require.Len(t, dirs, 40)
		for _, d := range dirs {
			list, err := tr.ReadDir(d.Ino, "", 0)
			require.NoError(t, err)
			require.Len(t, list, 1000)
		}
	}
	read()
	require.NotEmpty(t, tr.tableFiles())
	before := residentTables(t, tr)
	require.Positive(t, before)
	require.NoError(t, tr.letGoOfMaps())
	require.Less(t, residentTables(t, tr), before/2+1) // a compaction may be reading
	read()
	require.Positive(t, residentFiles())
}

// TestMapsOfTablesInTheMakingLetGo: what a merge has written and not yet handed over isn't resident either, and stays as it is.
func TestMapsOfTablesInTheMakingLetGo(t *testing.T) {
	tr := large(t, 1, 100)
	dir := tr.tableDir()
	content := bytes.Repeat([]byte("in the making"), 1<<20)
	path := filepath.Join(dir, "999999.sst")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	defer os.Remove(path)
	require.NoError(t, f.Sync())
	m, err := unix.Mmap(int(f.Fd()), 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	defer unix.Munmap(m)
	require.Equal(t, content, m)
	files := map[string]bool{path: true}
	all := residentOf(t, files)
	require.GreaterOrEqual(t, all, len(content)>>10)
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &st))
	if st.Type != unix.TMPFS_MAGIC { // whose pages have nowhere to go without swap
		require.Eventually(t, func() bool {
			require.NoError(t, tr.letGoOfMaps())
			return residentOf(t, files) < all/2
		}, time.Minute, 10*time.Millisecond)
	}
	require.Equal(t, content, m)
}

// residentTables gives the kB of a tree's tables that are resident.
func residentTables(t *testing.T, tr *Tree) int { return residentOf(t, tr.tableFiles()) }

func residentOf(t *testing.T, files map[string]bool) (kb int) {
	smaps, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	in := false
	for line := range strings.Lines(string(smaps)) {
		if at := strings.IndexByte(line, '/'); at >= 0 || strings.Contains(line, "-") && strings.Contains(line, " 00:00 ") {
			in = at >= 0 && files[strings.TrimSpace(line[at:])]
		}
		var n int
		if _, err := fmt.Sscanf(line, "Rss: %d", &n); err == nil && in {
			kb += n
		}
	}
	return kb
}
