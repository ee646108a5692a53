package serve

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

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

// CheckMountpoint finds the usual mistakes before anything is started. The error is a *MountpointError.
func CheckMountpoint(point string) error {
	refuse := func(format string, args ...any) error {
		return &MountpointError{Path: point, Problem: fmt.Sprintf(format, args...)}
	}
	kind := mountedType(point)
	info, err := os.Stat(point)
	switch {
	case kind == fsType && dead(point):
		return refuse("a mount that died is still there: `megadisk unmount %s` removes it", point)
	case kind == fsType:
		return refuse("megadisk is already mounted there")
	case kind != "":
		return refuse("another filesystem (%s) is mounted there: choose another folder", kind)
	case errors.Is(err, os.ErrNotExist):
		return refuse("there is no such folder: `mkdir -p %s` makes it", point)
	case err != nil:
		return refuse("%v", errors.Unwrap(err))
	case !info.IsDir():
		return refuse("it is not a folder")
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
	if mountedType(point) != fsType {
		return &MountpointError{Path: point, Problem: "megadisk shows nothing there (`megadisk status` lists the mounts)"}
	}
	if !dead(point) {
		return &MountpointError{Path: point, Problem: "the process that holds it does not answer on its control socket: end that process first"}
	}
	return detachPoint(point)
}

// dead tells whether the process behind a mount is gone. Attributes may still be in the kernel's cache, so a
// stat says nothing; statfs always asks the process.
func dead(point string) bool {
	var st unix.Statfs_t
	return errors.Is(unix.Statfs(point, &st), unix.ENOTCONN)
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

// mountedType is the type of what is mounted exactly at point, or "".
func mountedType(point string) string {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(point)); err == nil {
		point = filepath.Join(dir, filepath.Base(point)) // the kernel lists real paths
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	kind := ""
	for _, line := range strings.Split(string(table), "\n") {
		head, tail, ok := strings.Cut(line, " - ")
		fields := strings.Fields(head)
		if ok && len(fields) > 4 && unescape(fields[4]) == point {
			kind, _, _ = strings.Cut(tail, " ") // the last one is on top
		}
	}
	return kind
}

var mountinfoEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func unescape(path string) string { return mountinfoEscapes.Replace(path) }

// Umask is this process's file mode mask.
func Umask() uint32 {
	mask := unix.Umask(0)
	unix.Umask(mask)
	return uint32(mask)
}
