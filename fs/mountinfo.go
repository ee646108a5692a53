package fs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	mountinfoPath = "/proc/self/mountinfo"
	devFuse       = "/dev/fuse"
)

// mountAt tells whether something is mounted at a path (absolute, without symbolic links), and of which type the
// topmost mount is. It doesn't touch the path, whose process may hang.
func mountAt(path string) (kind string, ok bool, err error) {
	f, err := os.Open(mountinfoPath)
	if err != nil {
		return "", false, fmt.Errorf("reading the list of mounts: %w", err)
	}
	defer f.Close()
	return findMount(f, path)
}

// findMount reads lines like "36 35 98:0 / /mnt rw,noatime shared:1 - ext3 /dev/root rw" (see proc(5)); the last one
// for a path is the topmost.
func findMount(r io.Reader, path string) (kind string, ok bool, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		head, tail, found := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(head)
		if !found || len(fields) < 5 || unescapeMount(fields[4]) != path {
			continue
		}
		kind, _, _ = strings.Cut(tail, " ")
		ok = true
	}
	return kind, ok, lines.Err()
}

// unescapeMount undoes the octal escapes (\040 for a space) of a path in mountinfo.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1:i+4]) {
			out = append(out, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func isOctal(s string) bool { return strings.Trim(s, "01234567") == "" }

// checkFuse tells what is missing before anything is begun.
func checkFuse(direct bool) error {
	err := unix.Access(devFuse, unix.R_OK|unix.W_OK) // fusermount3 opens it as the user too
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return ErrNoFuse
	case err != nil:
		return ErrFuseDenied
	}
	if direct {
		return nil
	}
	helper, err := fusermount()
	if err != nil {
		return err
	}
	return checkHelper(helper)
}

// fusermount finds the helper that mounts for users who aren't root.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoHelper
}

// unmount takes a mount away, unless it is in use. fusermount3 gives the same exit status for all that can go wrong; a
// mount that is still there afterwards is in use.
func unmount(path string, direct bool) error {
	if direct {
		err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			return ErrBusy
		}
		return err
	}
	helper, err := fusermount()
	if err != nil {
		return err
	}
	err = exec.Command(helper, "-u", "--", path).Run()
	if err == nil {
		return nil
	}
	if _, still, lookErr := mountAt(path); lookErr == nil && still {
		return ErrBusy
	}
	return fmt.Errorf("fusermount3: %w", err)
}
