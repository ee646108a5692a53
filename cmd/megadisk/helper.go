package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"

	"github.com/adrg/xdg"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"megadisk/cmd/megadisk/internal/helper"
)

// commandFor gives the command that a command line stands for, and what the exit status of an error is in it: called
// as a helper of mount(8) or umount(8), the program takes their arguments and answers with their codes.
func commandFor(args []string) (root *cobra.Command, codes func(error) int, err error) {
	root = newRoot()
	var names []string
	for _, cmd := range root.Commands() {
		names = append(append(names, cmd.Name()), cmd.Aliases...)
	}
	names = append(names, "help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd)
	var call helper.Call
	var asked []string
	switch {
	case helper.IsMount(args, names):
		call, err = helper.ParseMount(args[1:])
		asked = mountArgs(call)
	case helper.IsUnmount(args):
		call, err = helper.ParseUnmount(args[1:])
		asked = unmountArgs(call)
	default:
		root.SetArgs(idsLast(args[1:], root.PersistentFlags()))
		return root, exitStatus, nil
	}
	if err != nil {
		return nil, mountExitStatus, usage("%v", err)
	}
	if call.Namespace != "" {
		return nil, mountExitStatus, enterNamespace(call.Namespace, args)
	}
	root.SetArgs(asked)
	return root, mountExitStatus, nil
}

func mountArgs(call helper.Call) []string {
	args := []string{"mount"}
	for _, list := range call.Options {
		args = append(args, "--options="+list)
	}
	if call.Sloppy {
		args = append(args, "--sloppy")
	}
	if call.Fake {
		args = append(args, "--fake")
	}
	args = append(args, "--")
	if call.Spec != "" {
		args = append(args, call.Spec)
	}
	return append(args, call.Dir)
}

func unmountArgs(call helper.Call) []string {
	if call.Lazy {
		return []string{"unmount", "--no-wait", "--", call.Dir}
	}
	return []string{"unmount", "--", call.Dir}
}

// mountExitStatus is the exit code of mount(8) for an error.
func mountExitStatus(err error) int {
	switch {
	case errors.Is(err, context.Canceled):
		return helper.ExitInterrupted
	case exitStatus(err) == exitUsage:
		return helper.ExitUsage
	}
	return helper.ExitFailed
}

// enterNamespace starts the program once more in another mount namespace (mount -N): a path, or a process id.
func enterNamespace(namespace string, args []string) error {
	if _, err := strconv.Atoi(namespace); err == nil {
		namespace = "/proc/" + namespace + "/ns/mnt"
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	fd, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the mount namespace %s: %w", namespace, err)
	}
	runtime.LockOSThread()                              // never unlocked: exec follows, or the end
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // the kernel's condition for what follows
		return fmt.Errorf("entering the mount namespace %s: %w", namespace, err)
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("entering the mount namespace %s: %w", namespace, err)
	}
	err = unix.Exec(self, withoutNamespace(args), os.Environ())
	return fmt.Errorf("starting in the mount namespace %s: %w", namespace, err)
}

// withoutNamespace takes -N and its value out of a helper's arguments.
func withoutNamespace(args []string) []string {
	var kept []string
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-N":
			i++
		case strings.HasPrefix(args[i], "-N"):
		default:
			kept = append(kept, args[i])
		}
	}
	return kept
}

// completeEnvironment gives what a program started at boot lacks: a search path, and the home of its user.
func completeEnvironment() {
	if os.Getenv("PATH") == "" {
		_ = os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	if os.Getenv("HOME") == "" {
		if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil {
			_ = os.Setenv("HOME", u.HomeDir)
			xdg.Reload()
		}
	}
}
