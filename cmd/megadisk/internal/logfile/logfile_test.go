package logfile

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLogTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := open(path, 100)
	require.NoError(t, err)
	for i := range 100 {
		_, err := fmt.Fprintf(l, "line number %d\n", i)
		require.NoError(t, err)
	}
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Len(t, files, 1+kept)
	for _, f := range files {
		info, err := os.Stat(f)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(100))
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	last, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(last), "line number 99\n")

	again, err := open(path, 100)
	require.NoError(t, err)
	_, err = again.Write([]byte("after a restart\n"))
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), "after a restart\n")
}
