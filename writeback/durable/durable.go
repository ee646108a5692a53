// Package durable makes small files, and the names in a folder, safe from a kill and a loss of power: afterwards there is
// the old one or the new one, whole.
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
	if err = fill(f, content); err == nil {
		err = os.Rename(path+suffix, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+suffix))
	}
	return SyncDir(filepath.Dir(path))
}

// CreateFile makes the file at path, that only its owner can read. Others may do the same at once: one of them makes it, and
// the others get fs.ErrExist.
func CreateFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+suffix+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err = fill(f, content); err == nil {
		err = os.Link(f.Name(), path) // which never replaces one
	}
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// fill writes a new file and closes it.
func fill(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
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

// SyncDir makes a folder's names durable: what was made, renamed and removed in it.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
