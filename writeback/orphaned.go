package writeback

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"megadisk/writeback/tree"
)

const (
	stagingDir   = "staging"
	orphanedGlob = "staging-orphaned-*"
)

// saveOrphaned moves segments aside when the database knows nothing of them:
// it is new, so the one that said whose they are was lost. They stay as they
// are, for Salvage; nothing here ever deletes them.
func (e *Engine) saveOrphaned() error {
	dir := filepath.Join(e.opts.Dir, stagingDir)
	segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(segments) == 0 {
		return err
	}
	blank, err := e.isBlank()
	if err != nil || !blank {
		return err
	}
	to, err := freePath(filepath.Join(e.opts.Dir, "staging-orphaned-"+e.now().UTC().Format("20060102T150405Z")))
	if err != nil {
		return err
	}
	if err := os.Rename(dir, to); err != nil {
		return fmt.Errorf("moving staged bytes aside whose database was lost: %w", err)
	}
	if err := syncDir(e.opts.Dir); err != nil {
		return fmt.Errorf("moving staged bytes aside whose database was lost: %w", err)
	}
	e.log.WithField("folder", to).WithField("segments", len(segments)).
		Error("the database was lost; bytes that were staged under it were moved aside, untouched")
	return nil
}

// isBlank tells whether nothing was ever written to the database: no tree, and
// no journal.
func (e *Engine) isBlank() (blank bool, err error) {
	if e.tree.Fetched() || e.tree.SN() != "" {
		return false, nil
	}
	blank = true
	err = e.tree.View(func(tx *tree.Tx) error {
		return scanRows(tx.Badger(), []byte{rowPrefix}, func(_, _ []byte) error {
			blank = false
			return errEnough
		})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return blank, err
}

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// freePath gives a path that isn't taken.
func freePath(path string) (string, error) {
	for n := 1; ; n++ {
		p := path
		if n > 1 {
			p = fmt.Sprintf("%s-%d", path, n)
		}
		_, err := os.Lstat(p)
		if errors.Is(err, os.ErrNotExist) {
			return p, nil
		}
		if err != nil {
			return "", err
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Fsync(int(d.Fd()))
}

// Orphaned is a folder of staged bytes whose database was lost.
type Orphaned struct {
	Dir   string
	Since time.Time
}

// listOrphaned finds what saveOrphaned has put aside, in this run or before.
func (e *Engine) listOrphaned() []Orphaned {
	dirs, err := filepath.Glob(filepath.Join(e.opts.Dir, orphanedGlob))
	if err != nil {
		return nil
	}
	sort.Strings(dirs)
	var list []Orphaned
	for _, d := range dirs {
		info, err := os.Stat(d)
		if err == nil && info.IsDir() {
			list = append(list, Orphaned{d, info.ModTime()})
		}
	}
	return list
}
