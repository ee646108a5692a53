package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type debrisItem struct {
	ID   string `json:"id"`
	Path string `json:"path"`
	Why  string `json:"why"`
}

// TestDebrisCommands: what another client deletes or overwrites, and what was here, is kept over kill -9, comes back,
// and goes when that is asked.
func TestDebrisCommands(t *testing.T) {
	p, account := mountedProgram(t)
	require.Contains(t, p.Run("debris", "list"), "none")
	p.Shell("mkdir dir && echo a >dir/a && echo b >b && echo c >c")
	p.Run("flush")
	account.Remove(account.Find("dir/a"))
	account.PutVersion(account.Find("b"), []byte("by another client"), megatestTime)
	account.Trash(account.Find("c"))
	var list []debrisItem
	require.Eventually(t, func() bool {
		list = readJSON[[]debrisItem](t, p.Run("debris", "list", "--json"))
		return len(list) == 3
	}, bounded, 20*time.Millisecond)
	p.Kill()
	p.Mount()
	require.Equal(t, list, readJSON[[]debrisItem](t, p.Run("debris", "list", "--json")))
	require.Equal(t, []string{"/dir/a", "/b", "/c"}, []string{list[0].Path, list[1].Path, list[2].Path})
	require.Equal(t, "replaced", list[1].Why)

	require.Contains(t, p.Run("debris", "restore", list[0].ID), "/dir/a")
	require.Equal(t, "a\n", string(readFile(t, p.Point, "dir/a")))
	require.Contains(t, p.Run("debris", "restore", list[1].ID), "/b (conflict ", "what has the name stays")
	requireEventuallyFile(t, filepath.Join(p.Point, "b"), "by another client")
	_, errs, status := p.Try("", "debris", "restore", list[0].ID)
	require.Equal(t, 8, status, errs)
	require.Contains(t, p.Run("debris", "clear"), ": 1")
	require.Contains(t, p.Run("debris", "list"), "none")
	p.Run("flush")
	require.Equal(t, "a\n", string(account.ReadFile(handleOf(t, account, "dir/a"))))
	_, err := os.Stat(filepath.Join(p.Point, "c"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
