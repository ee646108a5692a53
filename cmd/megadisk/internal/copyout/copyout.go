// Package copyout writes files and folders of the cloud to the local disk: each file whole or not at all, and nothing
// over what is there.
package copyout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrTaken says that something has the name already.
var ErrTaken = errors.New("there is something of that name already")

// Place is where something goes: into dest if that is a folder, else it gets dest's name. The error is ErrTaken, or that
// there is no such folder.
func Place(dest, name string) (string, error) {
	if info, err := os.Stat(dest); err == nil && info.IsDir() {
		dest = filepath.Join(dest, name)
	}
	if _, err := os.Lstat(dest); err == nil {
		return "", fmt.Errorf("%s: %w", dest, ErrTaken)
	}
	if _, err := os.Stat(filepath.Dir(dest)); err != nil {
		return "", err
	}
	return dest, nil
}

// File makes a file of what write gives; an error of write leaves nothing behind.
func File(ctx context.Context, path string, mode os.FileMode, mtime time.Time, write func(context.Context, io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".megadisk-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // nothing is there when it has its name
	if err := write(ctx, tmp); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Chmod(mode), tmp.Close(), os.Chtimes(tmp.Name(), mtime, mtime)); err != nil {
		return err
	}
	return rename(tmp.Name(), path)
}

// rename gives a file its name if that is free, also where a filesystem can't promise that in one step.
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%s: %w", to, ErrTaken)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		if _, err := os.Lstat(to); err == nil {
			return fmt.Errorf("%s: %w", to, ErrTaken)
		}
		return os.Rename(from, to)
	}
	return err
}
