package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"

	"megadisk/writeback/durable"
)

// Two files tell a database whose logs were lost from one that has none. Each holds the list of tables as it was at the
// opening, or as much of that as the disk had room for. After an end in good order neither is there.
const (
	runningName = "running" // while the database is open: at least one log is there as well
	closingName = "closing" // while it is being closed, or opened anew: its logs go
)

// setRunning says that the database is open. Its first log is there already.
func setRunning(dir string) error {
	list, err := os.ReadFile(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, runningName), list, 0o600); err != nil && !errors.Is(err, unix.ENOSPC) {
		return err
	}
	return removeIfThere(filepath.Join(dir, closingName))
}

// setClosing says that logs may go from now on.
func setClosing(dir string) error {
	err := os.Rename(filepath.Join(dir, runningName), filepath.Join(dir, closingName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the opening came to nothing
	}
	if err != nil {
		return err
	}
	return durable.SyncDir(dir) // before a log goes
}

// setClosed says that the end was in good order: every table is listed. Others are attempts that the disk refused, and Badger
// has made these tables anew since.
func setClosed(o Options) error {
	dir := o.Dir
	if err := removeUnlisted(o); err != nil {
		return err
	}
	if err := removeIfThere(filepath.Join(dir, closingName)); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

func removeUnlisted(o Options) error {
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
	if err != nil {
		return err
	}
	defer f.Close()
	list, _, err := badger.ReplayManifestFile(f, 0, badgerOptions(o, false))
	if err != nil {
		return err
	}
	tables := surveyor{o: o, listed: list.Tables}
	return tables.eachUnlisted(func(name string) error { return os.Remove(tables.path(name)) })
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
