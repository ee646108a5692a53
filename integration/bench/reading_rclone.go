package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// What rclone mount gave on the unshaped server when the issue was written (MB/s): what counts where it isn't measured.
const rcloneUnshaped = 95

// rclone is the cold read against rclone mount's on the same server, if MEGADISK_RCLONE names a binary.
func (r *reading) rclone() error {
	f := figure{name: "cold sequential read against rclone mount", unit: "MB/s"}
	if len(r.cold) == 0 {
		if err := r.unshaped(); err != nil {
			return err
		}
	}
	binary := os.Getenv("MEGADISK_RCLONE")
	if binary == "" {
		f.target, f.against = 3*rcloneUnshaped, "3 × rclone mount (95 MB/s, measured for the issue: MEGADISK_RCLONE names none here)"
		r.show(f, r.cold, "")
		return nil
	}
	point, end, err := r.mountRclone(binary)
	if err != nil {
		return err
	}
	defer end()
	var theirs []float64
	for range r.c.runs {
		if err := dropCaches(r.mount.work); err != nil {
			return err
		}
		v, _, err := sequential(filepath.Join(point, "read-big"))
		if err != nil {
			return err
		}
		theirs = append(theirs, v)
	}
	f.target, f.against = 3*median(theirs), "3 × rclone mount"
	r.show(f, r.cold, fmt.Sprintf("(%.4g MB/s)", median(theirs)))
	return nil
}

// mountRclone mounts the account with rclone, as it does by default; end unmounts.
func (r *reading) mountRclone(binary string) (point string, end func(), err error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return "", nil, err
	}
	if !bytes.Contains(program, []byte("X_MEGA_API_URL")) {
		return "", nil, fmt.Errorf("%s is too old: it can't be pointed at a test server", binary)
	}
	obscured, err := exec.Command(binary, "obscure", password).Output()
	if err != nil {
		return "", nil, err
	}
	config := filepath.Join(r.mount.work, "rclone.conf")
	point = filepath.Join(r.mount.work, "rclone")
	text := fmt.Sprintf("[peer]\ntype = mega\nuser = %s\npass = %s\n", email, strings.TrimSpace(string(obscured)))
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.MkdirAll(point, 0o755)); err != nil {
		return "", nil, err
	}
	c := exec.Command(binary, "--config", config, "--cache-dir", filepath.Join(r.mount.work, "rclone-cache"), "mount", "peer:", point)
	c.Env = append(os.Environ(), "X_MEGA_API_URL="+r.mount.server.URL())
	if err := c.Start(); err != nil {
		return "", nil, err
	}
	end = func() {
		_ = unix.Unmount(point, unix.MNT_DETACH)
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
	}
	if err := awaitMount(point); err != nil {
		end()
		return "", nil, err
	}
	return point, end, nil
}
