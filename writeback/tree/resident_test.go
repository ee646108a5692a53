package tree

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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

// residentTables gives the kB of a tree's tables that are resident.
func residentTables(t *testing.T, tr *Tree) (kb int) {
	smaps, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	files, in := tr.tableFiles(), false
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
