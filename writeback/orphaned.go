package writeback

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"megadisk/writeback/durable"
	"megadisk/writeback/tree"
)

const (
	stagingDir   = "staging"
	orphanedGlob = "staging-orphaned-*"
)

// saveOrphaned puts segments aside that the database may know nothing of: it
// is new, so the one that said whose they are was lost, or it was damaged and
// goes on from an earlier record. They stay as they are, for Salvage; nothing
// here ever deletes them.
func (e *Engine) saveOrphaned() error {
	dir := filepath.Join(e.opts.Dir, stagingDir)
	segments, err := glob(dir, "*.seg")
	if err != nil || len(segments) == 0 {
		return err
	}
	blank, err := e.isBlank()
	if err != nil || !blank && e.tree.Recovered() == "" {
		return err
	}
	to, err := freePath(filepath.Join(e.opts.Dir, "staging-orphaned-"+e.now().UTC().Format("20060102T150405Z")))
	if err != nil {
		return err
	}
	if blank {
		err = os.Rename(dir, to)
	} else {
		err = linkAll(segments, to)
	}
	if err == nil {
		err = durable.SyncDir(e.opts.Dir)
	}
	if err != nil {
		return fmt.Errorf("putting staged bytes aside whose database was lost: %w", err)
	}
	e.log.WithField("folder", to).WithField("segments", len(segments)).
		Error("the database was lost, or its end; bytes that were staged under it were put aside, untouched")
	return nil
}

// linkAll gives files a second name in a new folder. It appears with all of
// them, or not at all.
func linkAll(files []string, to string) error {
	tmp, err := os.MkdirTemp(filepath.Dir(to), ".aside-*")
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Link(f, filepath.Join(tmp, filepath.Base(f))); err != nil {
			return errors.Join(err, os.RemoveAll(tmp))
		}
	}
	if err := durable.SyncDir(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, to)
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

// glob lists what fits a pattern below a folder, whose own path may look like one.
func glob(dir, pattern string) ([]string, error) {
	found, err := fs.Glob(os.DirFS(dir), pattern)
	for i, name := range found {
		found[i] = filepath.Join(dir, name)
	}
	return found, err
}

// Orphaned is a folder of staged bytes whose database was lost, or its end.
type Orphaned struct {
	Dir   string
	Since time.Time
}

// listOrphaned finds what saveOrphaned has put aside, in this run or before.
func (e *Engine) listOrphaned() []Orphaned {
	dirs, err := glob(e.opts.Dir, orphanedGlob)
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
