package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// openLoopback runs go-fuse's own example in a process of its own.
func openLoopback(work string) (*place, error) {
	if out, err := exec.Command("go", "build", "-o", loopbackBin(work), "github.com/hanwen/go-fuse/v2/example/loopback").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building go-fuse's loopback: %w: %s", err, out)
	}
	below, point := filepath.Join(work, "below"), filepath.Join(work, "loopback")
	if err := errors.Join(os.Mkdir(below, 0o755), os.Mkdir(point, 0o755)); err != nil {
		return nil, err
	}
	return startLoopback("loopback", point, below, exec.Command(loopbackBin(work), "-q", point, below))
}

func loopbackBin(work string) string { return filepath.Join(work, "loopback-bin") }

func startLoopback(name, point, below string, cmd *exec.Cmd) (*place, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := awaitMount(point); err != nil {
		_ = cmd.Process.Kill()
		return nil, err
	}
	drop := func() error { return dropCaches(below) }
	return &place{name: name, dir: point, cold: drop, drop: drop, close: func() {
		_ = unix.Unmount(point, unix.MNT_DETACH)
		_ = cmd.Wait()
	}}, nil
}

const nobody = 65534

// openUnprivilegedLoopback runs the same program as a user who may not hand files to the kernel (FUSE passthrough), which
// loopback does where it may. The mount is made here and passed on. It is nil where loopback may not anyhow.
func openUnprivilegedLoopback(work string) (*place, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	below, point := filepath.Join(work, "below-unprivileged"), filepath.Join(work, "loopback-unprivileged")
	if err := errors.Join(os.Mkdir(below, 0o777), os.Chmod(below, 0o777), os.Mkdir(point, 0o755)); err != nil {
		return nil, err
	}
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer device.Close()
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,max_read=131072", device.Fd())
	if err := unix.Mount("loopback", point, "fuse.loopback", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, fmt.Errorf("mounting a loopback without privileges: %w", err)
	}
	cmd := exec.Command(loopbackBin(work), "-q", "/dev/fd/3", below)
	cmd.ExtraFiles = []*os.File{device}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	p, err := startLoopback("loopback without passthrough", point, below, cmd)
	if err != nil {
		_ = unix.Unmount(point, unix.MNT_DETACH)
	}
	return p, err
}
