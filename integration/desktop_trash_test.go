package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// desktopShell runs a script in the mount as a program of a desktop would: in a session with a bus of its own, at whose
// end what it started ends too. A desktop's trash watches every mount that it sees, and so would keep those of other tests
// busy: it sees this one only.
func desktopShell(t *testing.T, p *program.Program, script string) string {
	t.Helper()
	needs.Root(t)
	needs.Programs(t, "gio", "dbus-run-session", "unshare")
	if _, err := os.Stat("/usr/libexec/gvfsd-trash"); err != nil {
		needs.Programs(t, "gvfsd-trash")
	}
	const alone = `
		mounts=$(</proc/mounts) # whole: it changes with each that goes
		while read -r _ point kind _; do
			[[ $kind == fuse* && $point != "$MOUNT" ]] && umount -l "$(printf %b "$point")"
		done <<<"$mounts"
		cd "$MOUNT" && exec dbus-run-session -- bash -euo pipefail -c "$0"`
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "bash", "-c", alone, script)
	home := filepath.Join(p.Dir, "desktop")
	require.NoError(t, os.MkdirAll(filepath.Join(home, "run"), 0o700))
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+filepath.Join(home, "run"), "XDG_DATA_HOME="+filepath.Join(home, "share"),
		"XDG_CACHE_HOME="+filepath.Join(home, "cache"), "MOUNT="+p.Point, "GVFS_DISABLE_FUSE=1", "LC_ALL=C.UTF-8")
	cmd.Dir = p.Point
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func trashOf(p *program.Program) string {
	return filepath.Join(p.Point, ".Trash-"+strconv.Itoa(os.Getuid()))
}

func binnedIn(account *megatest.Account) []string {
	names := []string{}
	for path := range account.TreeBelow(account.Rubbish()) {
		if !strings.Contains(path, "/") {
			names = append(names, path)
		}
	}
	return names
}

// TestDesktopTrash: `gio trash` puts a file into MEGA's bin, and its restore brings the same node back; a file that
// never reached the cloud goes nowhere; emptying removes only the view.
func TestDesktopTrash(t *testing.T) {
	p, account := mountedProgram(t)
	p.Shell("mkdir docs && echo a >docs/a.txt && echo b >docs/b.txt && mkdir -p folder/sub && echo c >folder/sub/c")
	account.Trash(account.PutFile(account.Root(), "by the phone", []byte("p"), megatestTime))
	p.Run("flush")
	h := account.Find("docs/a.txt")

	desktopShell(t, p, "gio trash docs/a.txt")
	p.Run("flush")
	require.NotContains(t, account.Tree(), "docs/a.txt")
	require.True(t, account.InRubbish(h))
	info, err := os.ReadFile(filepath.Join(trashOf(p), "info", "a.txt.trashinfo"))
	require.NoError(t, err)
	require.Contains(t, string(info), "Path=docs/a.txt\n")
	require.NotContains(t, p.Shell("ls -A"), ".Trash", "it isn't listed")

	out := desktopShell(t, p, `
		for try in $(seq 300); do gio list trash:/// | grep -q a.txt && break; sleep 0.1; done
		gio trash --list
		item=$(gio trash --list | grep -F a.txt | cut -f1)
		gio trash --restore "$item"`)
	require.Contains(t, out, filepath.Join(p.Point, "docs/a.txt"))
	p.Run("flush")
	require.Equal(t, h, account.Find("docs/a.txt"), "the same node, back where it was")
	require.False(t, account.InRubbish(h))

	// What was never sent goes nowhere; what is emptied stays in the bin.
	p.Run("pause")
	desktopShell(t, p, "echo new >new && gio trash new")
	p.Run("resume")
	desktopShell(t, p, "gio trash folder docs/b.txt")
	p.Run("flush")
	require.ElementsMatch(t, []string{"by the phone", "folder", "b.txt"}, binnedIn(account))
	desktopShell(t, p, `
		for try in $(seq 300); do gio list trash:/// | grep -q folder && break; sleep 0.1; done
		gio trash --empty
		for try in $(seq 300); do [ -z "$(ls `+trashOf(p)+`/files `+trashOf(p)+`/expunged | grep -v :)" ] && break; sleep 0.1; done`)
	p.Run("flush")
	require.Empty(t, listNames(t, filepath.Join(trashOf(p), "files")))
	require.ElementsMatch(t, []string{"by the phone", "folder", "b.txt"}, binnedIn(account))
	require.Contains(t, account.TreeBelow(account.Rubbish()), "folder/sub/c")
	p.Run("bin", "restore", "folder")
	require.Equal(t, "c\n", string(readFile(t, p.Point, "folder/sub/c")))

	p.Shell("rm docs/a.txt")
	p.Run("flush")
	require.True(t, account.InRubbish(h))
	require.Empty(t, listNames(t, filepath.Join(trashOf(p), "files")), "rm doesn't pass through the trash")
}

func listNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestTrashFolder: it is the owner's alone, can't be made, moved or removed, and nobody else gets one.
func TestTrashFolder(t *testing.T) {
	p, account := mountedProgram(t)
	info, err := os.Stat(trashOf(p))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700)|os.ModeDir, info.Mode())
	require.EqualValues(t, os.Getuid(), info.Sys().(*syscall.Stat_t).Uid)
	require.ErrorIs(t, os.Mkdir(trashOf(p), 0o700), syscall.EEXIST)
	require.ErrorIs(t, os.Remove(trashOf(p)), syscall.EPERM)
	require.ErrorIs(t, os.Rename(trashOf(p), filepath.Join(p.Point, "x")), syscall.EPERM)
	for _, name := range []string{".Trash", ".Trash-4242"} {
		require.ErrorIs(t, os.Mkdir(filepath.Join(p.Point, name), 0o700), syscall.EPERM)
	}
	p.Run("flush")
	require.Empty(t, account.Tree())
	require.Contains(t, p.Run("status"), "everything is in the cloud")

	p.Shell("echo a >a")
	p.Run("flush")
	p.Run("unmount", p.Point)
	p.Run("mount", "-o", "trash=purge", p.Point)
	p.Shell("mv a " + trashOf(p) + "/files/a")
	p.Run("flush")
	require.Equal(t, []string{"a"}, binnedIn(account))
	p.Run("unmount", p.Point)
	p.Run("mount", "-o", "trash=purge", p.Point)
	require.Equal(t, "a\n", p.Shell("cat "+trashOf(p)+"/files/a"), "it is there after a remount")
	p.Shell("rm " + trashOf(p) + "/files/a")
	p.Run("flush")
	require.Eventually(t, func() bool { return len(binnedIn(account)) == 0 }, bounded, 10*time.Millisecond)
	p.Run("unmount", p.Point)
	_, errs, code := p.Try("", "mount", "-o", "trash=yes", p.Point)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--trash")
}
