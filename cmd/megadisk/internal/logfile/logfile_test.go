package logfile

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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

// A log that can't begin a new file goes on with the old one, and loses none of the older ones by trying.
func TestLogThatCantTurn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := open(path, 100)
	require.NoError(t, err)
	write := func(from, to int) {
		for i := from; i < to; i++ {
			_, err := fmt.Fprintf(l, "line number %d\n", i)
			require.NoError(t, err)
		}
	}
	text := func(name string) string {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(b)
	}
	write(100, 118) // 6 lines a file: now all three are full
	last, older := text(path), text(l.older(1))

	var usual unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &usual))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: usual.Max}))
	func() {
		defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &usual)) }()
		write(118, 130)
	}()
	require.NoFileExists(t, path)
	require.Contains(t, text(l.older(1)), last)
	require.Contains(t, text(l.older(1)), "line number 129\n")
	require.Equal(t, older, text(l.older(2)))

	write(130, 131)
	require.Equal(t, "line number 130\n", text(path))
	require.Equal(t, older, text(l.older(2)))
}
