package integration

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// Another user of the machine gets at nothing: no file, folder or socket that a mount has made, nor the mount, nor the process by
// its commands; root neither gets at the mount.
func TestOtherUsersAreKeptOut(t *testing.T) {
	needs.FUSE(t)
	needs.Root(t)
	needs.Programs(t, "setpriv")
	p, _ := program.WithAccount(t)
	asUser(t, p)
	owner := p.Through
	other := []string{"setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"}
	run := func(as []string, script string, args ...string) (string, error) {
		cmd := exec.Command(as[0], append(append(as[1:len(as):len(as)], "sh", "-c", script, "sh"), args...)...)
		cmd.Dir = p.Dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	p.Login()
	p.Run("mount", p.Point, "-o", "metrics=unix:"+filepath.Join(p.Dir, "metrics"))
	_, err := run(owner, `echo content >mnt/f && cat mnt/f`)
	require.NoError(t, err)
	p.Run("flush")

	var made []string
	sockets := 0
	require.NoError(t, filepath.WalkDir(p.Dir, func(path string, d fs.DirEntry, err error) error {
		switch path {
		case p.Dir, p.Bin: // the test's
			return err
		case p.Point:
			return fs.SkipDir
		}
		if err == nil && d.Type() == fs.ModeSocket {
			sockets++
		}
		made = append(made, path)
		return err
	}))
	require.Equal(t, 2, sockets, "control and metrics")
	const reached = `for path; do if [ -r "$path" ] || [ -w "$path" ] || [ -x "$path" ]; then echo "$path"; fi; done`
	out, err := run(owner, reached, made...)
	require.NoError(t, err)
	require.Len(t, strings.Fields(out), len(made), "who owns it reaches all of it")
	out, err = run(other, reached, made...)
	require.NoError(t, err)
	require.Empty(t, out)

	for _, script := range []string{"ls mnt", "cat mnt/f", "echo >mnt/f", "echo >mnt/new", "stat mnt/f"} {
		out, err := run(other, script)
		require.Error(t, err, script)
		require.Contains(t, out, "ermission denied", script)
	}
	_, err = os.ReadDir(p.Point)
	require.ErrorIs(t, err, fs.ErrPermission, "root")

	stranger := *p
	stranger.Through = other
	require.Empty(t, stranger.Statuses())
	for _, command := range []string{"flush", "retry", "unmount " + p.Point, "find " + p.Point} {
		out, _, status := stranger.Try("", strings.Fields(command)...)
		require.NotZero(t, status, "%s: %s", command, out)
	}
	require.Len(t, p.Statuses(), 1, "it goes on")
	p.Run("unmount", p.Point)
}
