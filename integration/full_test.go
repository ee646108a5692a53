package integration

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// Other programs fill the disk of the state to the last byte while it is mounted. What grows gets ENOSPC, everything
// else goes on, nothing is lost; also a start on the full disk, and an end.
func TestDiskOfTheStateFull(t *testing.T) {
	needs.FUSE(t)
	disk := smallDisk(t, "400m")
	p, account := program.WithAccount(t)
	p.Env = append(p.Env, "MEGADISK_STATE_DIR="+filepath.Join(disk, "state"))
	p.Login()
	p.Run("mount", "-o", "min_free=32M", p.Point)
	p.Shell("mkdir dir; for i in $(seq 200); do echo $i >dir/$i; done; echo old >kept")
	fillDisk(t, disk)

	p.Shell(`
		! echo more >new 2>/dev/null
		! mkdir other 2>/dev/null
		! dd if=/dev/zero of=kept bs=64k count=1 conv=notrunc 2>/dev/null
		for i in $(seq 100); do rm dir/$i; done
		for i in $(seq 101 200); do mv dir/$i dir/moved$i; done
		chmod 600 kept; grep -q old kept; sync kept; ls dir >/dev/null
	`)
	p.Run("flush")
	require.Len(t, p.Statuses(), 1, "the process is alive")
	tree := account.Tree()
	require.Contains(t, tree, "dir/moved150")
	require.NotContains(t, tree, "dir/50")

	p.Shell("for i in $(seq 101 150); do rm dir/moved$i; done")
	p.Kill()
	fillDisk(t, disk)
	p.Run("mount", "-o", "min_free=32M", p.Point)
	p.Shell("! ls dir/moved120 2>/dev/null; grep -q 160 dir/moved160; rm dir/moved160")
	fillDisk(t, disk)
	p.Run("unmount", p.Point)
	require.NotContains(t, account.Tree(), "dir/moved160")

	require.NoError(t, os.RemoveAll(filepath.Join(disk, "filler")))
	p.Run("mount", "-o", "min_free=32M", p.Point)
	p.Shell("echo more >new")
	p.Run("flush")
	require.Contains(t, account.Tree(), "new")
}

// smallDisk mounts a filesystem of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if !errors.Is(err, unix.EPERM) {
			require.NoError(t, err)
		}
		t.Skip("NOT RUN: only root may mount a small disk for it")
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// fillDisk takes all room that is left.
func fillDisk(t *testing.T, disk string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(disk, "filler"), 0o700))
	f, err := os.CreateTemp(filepath.Join(disk, "filler"), "")
	require.NoError(t, err)
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10} {
		block := make([]byte, size)
		for err = nil; err == nil; {
			_, err = f.Write(block)
		}
		require.ErrorIs(t, err, unix.ENOSPC)
	}
}
