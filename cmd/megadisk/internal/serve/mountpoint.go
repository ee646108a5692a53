package serve

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// MountpointError says what is wrong with a mount point, and what to do.
type MountpointError struct {
	Path    string
	Problem string
}

func (e *MountpointError) Error() string {
	return e.Path + ": " + e.Problem
}

// fsType is how our mounts stand in /proc/self/mountinfo.
const fsType = "fuse.megadisk"

// automount is the type of what waits, with systemd, for the mount that it starts.
const automount = "autofs"

// CheckMountpoint finds the usual mistakes before anything is started. A mount of ours whose process died is taken
// away. The error is a *MountpointError.
func CheckMountpoint(point string) error {
	refuse := func(format string, args ...any) error {
		return &MountpointError{Path: point, Problem: fmt.Sprintf(format, args...)}
	}
	at := mountedAt(point)
	if at.kind == fsType && dead(point) {
		if uid := os.Geteuid(); uid != 0 && at.user != uid {
			return refuse("a mount of another user that died is still there: choose another folder")
		}
		if err := detachPoint(point); err != nil {
			return refuse("a mount that died is still there, and can't be removed: %v", err)
		}
		at = mountedAt(point)
	}
	if at.kind == fsType {
		return refuse("megadisk is already mounted there")
	}
	info, err := os.Stat(point)
	switch {
	case at.kind != "" && at.kind != automount:
		return refuse("another filesystem (%s) is mounted there: choose another folder", at.kind)
	case errors.Is(err, os.ErrNotExist):
		return refuse("there is no such folder: `mkdir -p %s` makes it", point)
	case err != nil:
		return refuse("%v", errors.Unwrap(err))
	case !info.IsDir():
		return refuse("it is not a folder")
	case mountedAround(point) == fsType:
		return refuse("it lies inside a folder that megadisk shows: choose another folder")
	}
	return nil
}

// fuseConf is where the administrator says what users may ask of FUSE.
const fuseConf = "/etc/fuse.conf"

// checkAllowOther refuses what fusermount3 would refuse, in one sentence.
func checkAllowOther(point string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	conf, _ := os.ReadFile(fuseConf) // none: nothing is allowed
	for _, line := range strings.Split(string(conf), "\n") {
		if strings.TrimSpace(line) == "user_allow_other" {
			return nil
		}
	}
	return &MountpointError{Path: point, Problem: "--allow-other needs a line user_allow_other in " + fuseConf + ", or root"}
}

// UnmountStale removes a mount of ours whose process is gone; another program's is never touched.
func UnmountStale(point string) error {
	if mountedAt(point).kind != fsType {
		return &MountpointError{Path: point, Problem: "megadisk shows nothing there (`megadisk status` lists the mounts)"}
	}
	if !dead(point) {
		return &MountpointError{Path: point, Problem: "the process that holds it does not answer on its control socket: end that process first"}
	}
	return detachPoint(point)
}

// CheckEnd tells a mount whose process died, and which is still there, from one that was unmounted, which is no error.
func CheckEnd(point string) error {
	if mountedAt(point).kind != fsType || !dead(point) {
		return nil
	}
	return &MountpointError{Path: point, Problem: "the process that held it has died: mounting there again shows it, with all that isn't in the cloud yet"}
}

// alive is how long a process may take to say that it is.
const alive = 2 * time.Second

// dead tells whether the process behind a mount is gone. Attributes may still be in the kernel's cache, so a
// stat says nothing; statfs always asks the process. One that stands still is not gone, and isn't waited for: who asked it
// waits on by itself, until there is an answer or the mount goes.
func dead(point string) bool {
	said := make(chan error, 1)
	go func() {
		var st unix.Statfs_t
		said <- unix.Statfs(point, &st)
	}()
	select {
	case err := <-said:
		return errors.Is(err, unix.ENOTCONN)
	case <-time.After(alive):
		return false
	}
}

// detachPoint takes the mount out of the tree of folders even while it is in use.
func detachPoint(point string) error {
	if os.Geteuid() == 0 {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("detaching %s: %w", point, err)
		}
		return nil
	}
	if out, err := exec.Command("fusermount3", "-u", "-z", point).CombinedOutput(); err != nil {
		return fmt.Errorf("detaching %s: %w: %s", point, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Umask is this process's file mode mask.
func Umask() uint32 { return umask() }

// umask reads it, which is only possible by setting another one: once, or two that do it side by side leave none.
var umask = sync.OnceValue(func() uint32 {
	mask := unix.Umask(0)
	unix.Umask(mask)
	return uint32(mask)
})
