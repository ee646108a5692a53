package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// The disk below the state fails: what programs are told is then an error, and what they had been told before is there
// when the disk is good again; the process may have ended, since the kernel makes SIGBUS of a page that can't be read.
func TestDiskOfTheStateFails(t *testing.T) {
	needs.FUSE(t)
	needs.Root(t)
	p, account := program.WithAccount(t)
	disk, set := badDisk(t)
	p.Env = append(p.Env, "MEGADISK_STATE_DIR="+filepath.Join(disk, "state"))
	p.Login()
	p.Mount()
	pid := p.Statuses()[0].PID
	want := map[string]string{}
	for i := range 5 {
		name := fmt.Sprint("before", i)
		want[name] = strings.Repeat(name, 20_000)
		require.NoError(t, os.WriteFile(filepath.Join(p.Point, name), []byte(want[name]), 0o644))
	}
	set(unix.SIGUSR1)
	for i := range 5 {
		name := fmt.Sprint("amid", i)
		require.Error(t, writeSynced(filepath.Join(p.Point, name), strings.Repeat(name, 20_000)))
	}
	set(unix.SIGUSR2)
	ended, err := program.Ends(pid, time.Second)
	require.NoError(t, err)
	t.Log("the process has ended: ", ended)
	if ended {
		p.Run("unmount", p.Point)
	} else {
		p.Run("unmount", "--no-wait", p.Point) // a sync that failed is only made good by another process
	}
	p.Mount()
	for i := range 5 { // of these nothing was promised
		if err := os.Remove(filepath.Join(p.Point, fmt.Sprint("amid", i))); !errors.Is(err, unix.ENOENT) {
			require.NoError(t, err)
		}
	}
	requireGoesOn(t, p, account, want)
	p.Run("unmount", p.Point)
}

func writeSynced(path, text string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// badDisk mounts a disk that goes bad and good again by signals.
func badDisk(t *testing.T) (dir string, set func(unix.Signal)) {
	t.Helper()
	dir = t.TempDir()
	disk := runBadDisk(t, os.Stderr, dir, t.TempDir()).Process
	probe := filepath.Join(dir, "probe")
	return dir, func(s unix.Signal) {
		t.Helper()
		require.NoError(t, disk.Signal(s))
		require.Eventually(t, func() bool { return (os.WriteFile(probe, nil, 0o600) != nil) == (s == unix.SIGUSR1) }, bounded, time.Millisecond)
	}
}

// runBadDisk runs baddisk: dir is where it shows folder.
func runBadDisk(t *testing.T, told *os.File, dir, folder string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program.Build(t, "megadisk/integration/baddisk"), append([]string{dir, folder}, args...)...)
	cmd.Stdout, cmd.Stderr = told, os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		var st unix.Statfs_t
		return unix.Statfs(dir, &st) == nil && st.Type == unix.FUSE_SUPER_MAGIC
	}, bounded, time.Millisecond)
	return cmd
}

// A state folder that can't be written is said in one sentence, and nothing is mounted.
func TestReadOnlyState(t *testing.T) {
	needs.FUSE(t)
	disk := smallDisk(t, "1g")
	p, account := program.WithAccount(t)
	p.Env = append(p.Env, "MEGADISK_STATE_DIR="+filepath.Join(disk, "state"))
	p.Login()
	p.Mount()
	p.Shell("echo kept >kept")
	p.Run("unmount", "--no-wait", p.Point)
	require.NoError(t, unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	said := refused(t, p, 7, "", "mount", p.Point)
	require.Contains(t, said, "read-only file system")
	require.Len(t, strings.Split(strings.TrimSpace(said), "\n"), 1)
	require.NoError(t, unix.Mount("", disk, "", unix.MS_REMOUNT, ""))
	p.Mount()
	requireGoesOn(t, p, account, map[string]string{"kept": "kept\n"})
	p.Run("unmount", p.Point)
}
