package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/program"
)

// readJSON reads what a command printed.
func readJSON[T any](t *testing.T, text string) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

type fileVersion struct {
	Time string `json:"time"`
	Size int64  `json:"size"`
}

func inoOf(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Stat(path, &st))
	return st.Ino
}

// TestVersionsAndRestore: an overwritten file is read as it was, and brought back, under the same inode.
func TestVersionsAndRestore(t *testing.T) {
	p, account := mountedProgram(t)
	file := filepath.Join(p.Point, "dir@home/report")
	p.Shell("mkdir dir@home && echo first >dir@home/report")
	p.Run("flush")
	require.Contains(t, p.Run("versions", file), "no earlier versions")
	p.Shell("echo second and longer >dir@home/report")
	p.Run("flush")
	ino := inoOf(t, file)

	list := readJSON[[]fileVersion](t, p.Run("versions", "--json", file))
	require.Len(t, list, 1)
	require.EqualValues(t, 6, list[0].Size)
	require.Contains(t, p.Run("versions", file), list[0].Time)
	require.Equal(t, "first\n", string(readFile(t, p.Point, ".mega/versions/dir@home/report", list[0].Time)))

	require.Contains(t, p.Run("restore", file+"@"+list[0].Time), "Restored")
	require.Equal(t, "first\n", string(readFile(t, file)))
	require.Equal(t, ino, inoOf(t, file))
	p.Run("flush")
	require.Equal(t, "first\n", string(account.ReadFile(handleOf(t, account, "dir@home/report"))))
	require.Len(t, account.Versions(handleOf(t, account, "dir@home/report")), 3, "what was there is a version now")

	for _, c := range []struct {
		status int
		args   []string
	}{
		{8, []string{"restore", file + "@2001-01-01T00:00:00Z"}},
		{8, []string{"versions", file + "x"}},
		{1, []string{"versions", filepath.Dir(file)}},
		{2, []string{"restore", filepath.Join(p.Point, "no time")}},
		{1, []string{"versions", "/"}},
	} {
		_, errs, status := p.Try("", c.args...)
		require.Equal(t, c.status, status, "%v: %s", c.args, errs)
	}

	var st program.Status
	require.NoError(t, json.Unmarshal(readFile(t, p.Point, ".mega/status.json"), &st))
	require.Equal(t, p.Statuses()[0].PID, st.PID)
}

type binEntry struct {
	Name   string    `json:"name"`
	Folder bool      `json:"folder"`
	Since  time.Time `json:"since"`
	From   string    `json:"from"`
}

// TestBinCommands: what rm took away is listed, comes back to where it was, and goes for good only when that is asked.
func TestBinCommands(t *testing.T) {
	p, account := mountedProgram(t)
	require.Contains(t, p.Run("bin", "list"), "empty")
	p.Shell("mkdir -p deep/er tree && echo a >deep/er/a && echo b >b && echo c >tree/c")
	p.Run("flush")
	a, b, tree := handleOf(t, account, "deep/er/a"), handleOf(t, account, "b"), handleOf(t, account, "tree")
	p.Shell("rm deep/er/a b && rm -r tree")
	p.Run("flush")
	var list []binEntry
	require.Eventually(t, func() bool {
		list = readJSON[[]binEntry](t, p.Run("bin", "list", "--json"))
		return len(list) == 3
	}, bounded, 20*time.Millisecond)
	require.Equal(t, "a", list[0].Name)
	require.Equal(t, "/deep/er", list[0].From)
	require.True(t, list[2].Folder)
	require.WithinDuration(t, time.Now(), list[1].Since, time.Hour)

	require.Contains(t, p.Run("bin", "restore", "a"), "/deep/er/a")
	require.Equal(t, "a\n", string(readFile(t, p.Point, "deep/er/a")))
	p.Run("flush")
	require.Equal(t, a, handleOf(t, account, "deep/er/a"), "it is the same node")

	// Its folder is gone, and the name is taken: it needs another place.
	p.Shell("echo other >b")
	_, errs, status := p.Try("", "bin", "restore", "b")
	require.Equal(t, 1, status, errs)
	require.Contains(t, p.Run("bin", "restore", "b", "--to", filepath.Join(p.Point, "deep")), "/deep/b")
	_, errs, status = p.Try("", "bin", "restore", "b")
	require.Equal(t, 8, status, errs)

	require.Contains(t, p.Run("bin", "empty", "--older-than", "1d"), ": 0")
	require.True(t, account.Exists(tree))
	_, errs, status = p.Try("", "bin", "empty", "--older-than", "soon")
	require.Equal(t, 2, status, errs)
	require.Contains(t, p.Run("bin", "empty"), ": 1")
	require.False(t, account.Exists(tree))
	require.True(t, account.Exists(b), "what was taken out stays")
	require.Contains(t, p.Run("bin", "list"), "empty")
	entries, err := os.ReadDir(filepath.Join(p.Point, ".mega/rubbish"))
	require.NoError(t, err)
	require.Empty(t, entries)
}
