package integration

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// happening is what `megadisk log --json` prints in a line.
type happening struct {
	Number uint64    `json:"number"`
	Time   time.Time `json:"time"`
	What   string    `json:"what"`
	Path   string    `json:"path"`
	More   string    `json:"more"`
}

// TestLog: the log tells in words what happened to files, follows it, and is not readable on the disk.
func TestLog(t *testing.T) {
	p, account := mountedProgram(t)
	require.Empty(t, p.Run("log"))
	follow := p.Command("log", "-f", "--json")
	out, err := follow.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, follow.Start())
	lines := bufio.NewReader(out)
	next := func(what, path string) (h happening) {
		t.Helper()
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal([]byte(line), &h))
		require.Equal(t, what, h.What)
		require.Regexp(t, path, h.Path)
		return h
	}
	p.Shell("echo one >notes.txt")
	p.Run("flush")
	next("uploaded", "^/notes.txt$")

	p.Run("pause")
	p.Shell("echo ours >notes.txt")
	account.PutVersion(handleOf(t, account, "notes.txt"), []byte("theirs"), megatestTime)
	account.PutFile(account.Root(), "after that", nil, megatestTime)
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(p.Point, "after that")); return err == nil }, bounded, 10*time.Millisecond)
	p.Run("resume")
	p.Run("flush")
	require.Equal(t, "notes.txt", next("conflict", `^/notes \(conflict .*\)\.txt$`).More)
	next("uploaded", `^/notes \(conflict .*\)\.txt$`)

	text := p.Run("log")
	require.Equal(t, 3, strings.Count(text, "\n"), text)
	require.Regexp(t, `(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  conflict +/notes \(conflict .*\)\.txt  \(notes\.txt\)$`, text)
	require.Equal(t, 1, strings.Count(p.Run("log", "-n", "1"), "\n"))
	p.Run("unmount", p.Point)
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.NoError(t, follow.Wait(), "it ends with the mount")
	require.NoError(t, filepath.WalkDir(p.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NotContains(t, string(data), "notes.txt", path) // in the database it is sealed
		return err
	}))
	require.Contains(t, refused(t, p, 1, "", "log"), "mount")
}
