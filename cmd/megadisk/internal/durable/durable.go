// Package durable replaces small files: after a kill or a loss of power there is the old one or the new one, whole.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// suffix is that of a file while it is written. The name is the same each time, so that what a writer left that was killed
// goes with the next one.
const suffix = ".new"

// WriteFile replaces the file at path by one that only its owner can read. Nobody else may be writing it meanwhile.
func WriteFile(path string, content []byte) error {
	f, err := os.OpenFile(path+suffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+suffix, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+suffix))
	}
	return syncFolder(filepath.Dir(path))
}

// Remove removes the file at path, if there is one, and what a writer left that was killed.
func Remove(path string) error {
	for _, p := range []string{path, path + suffix} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// syncFolder makes a folder's names durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
