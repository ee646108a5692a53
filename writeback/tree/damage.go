package tree

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Badger trusts its files: a damaged one ends the process in a goroutine of its own, reads as rows that
// aren't there, or is deleted because a list doesn't name it. So all that it will read is checked before it
// opens: the list of tables (MANIFEST), the keys (KEYREGISTRY), each block of each table, and the logs.

// DamagedError means that the database can't be opened as it is. What is in it was left alone.
type DamagedError struct {
	Dir  string
	File string // the first one that is damaged or missing, "" if it isn't known
	Err  error
}

// Error says which file and why.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("the database in %s is damaged (%s: %v)", e.Dir, cmp.Or(e.File, "files"), e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

var (
	errMissing = errors.New("it is missing")
	errNoKey   = errors.New("its key is missing")
)

// surveyor looks at the files of a closed database.
type surveyor struct {
	o        Options
	listed   map[uint64]badger.TableManifest
	registry *badger.KeyRegistry
	cut      []string // what was cut off at the last good record, for the log
}

// checkFiles finds out whether Badger can open its files without losing anything silently, and removes what it
// stumbles over though nothing is in it. Recovered says what was cut off, "" normally. Error: *DamagedError,
// ErrWrongKey.
func checkFiles(o Options) (recovered string, err error) {
	c := &surveyor{o: o}
	for _, step := range []func() error{c.manifest, c.keys, c.tables, c.logs, c.discard} {
		if err := step(); err != nil {
			return "", err
		}
	}
	return strings.Join(c.cut, "; "), nil
}

func (c *surveyor) damaged(file string, err error) error {
	if errno := systemError(err); errno != 0 && errno != unix.EIO {
		return fmt.Errorf("checking the database: %w", err)
	}
	return &DamagedError{Dir: c.o.Dir, File: file, Err: err}
}

func (c *surveyor) path(name string) string { return filepath.Join(c.o.Dir, name) }

// files lists the files with an ending.
func (c *surveyor) files(suffix string) (names []string, err error) {
	entries, err := os.ReadDir(c.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("listing the database: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// manifest reads the list of tables. Badger makes an empty one where it is missing, and deletes every table that
// it doesn't name.
func (c *surveyor) manifest() (err error) {
	f, err := os.Open(c.path(badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return c.blank()
	}
	if err != nil {
		return c.damaged(badger.ManifestFilename, err)
	}
	defer f.Close()
	defer c.caught(badger.ManifestFilename, &err)
	list, end, err := badger.ReplayManifestFile(f, 0, badgerOptions(c.o, false))
	if err != nil {
		return c.damaged(badger.ManifestFilename, err)
	}
	c.listed = list.Tables
	raw, err := os.ReadFile(f.Name())
	if err != nil {
		return c.damaged(badger.ManifestFilename, err)
	}
	if int64(len(raw)) > end || hasHole(raw) || c.shortened(raw) {
		return c.unlisted()
	}
	return nil
}

// shortened tells whether the list may end too early, between two entries: it is less than it was at the last opening
// (what begins in another way was written anew since), or, after an end in good order, names less than there is.
func (c *surveyor) shortened(list []byte) bool {
	before, err := os.ReadFile(c.path(runningName))
	if errors.Is(err, fs.ErrNotExist) {
		before, err = os.ReadFile(c.path(closingName))
	}
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return len(list) < len(before) && bytes.HasPrefix(before, list)
}

// hasHole finds entries without content, which zeros look like. Only the first one of a new list is such.
func hasHole(raw []byte) bool {
	for i, at := 0, 8; at+8 <= len(raw); i++ {
		n := int(binary.BigEndian.Uint32(raw[at:]))
		if n == 0 && i > 0 {
			return true
		}
		at += 8 + n
	}
	return false
}

// blank checks that a database without a list of tables is a new one.
func (c *surveyor) blank() error {
	for _, suffix := range []string{badger.KeyRegistryFileName, ".sst", ".mem"} {
		names, err := c.files(suffix)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return c.damaged(badger.ManifestFilename, errMissing)
		}
	}
	return nil
}

// unlisted looks for tables that a list with a damaged end, or one from an end in good order, doesn't name: they may hold
// what nothing else does. (Where the list is whole after a crash, such are what that left half-made.)
func (c *surveyor) unlisted() error {
	return c.eachUnlisted(func(string) error { return c.damaged(badger.ManifestFilename, io.ErrUnexpectedEOF) })
}

// eachUnlisted goes through the tables that the list doesn't name.
func (c *surveyor) eachUnlisted(fn func(name string) error) error {
	names, err := c.files(".sst")
	if err != nil {
		return err
	}
	for _, name := range names {
		id, ok := table.ParseFileID(name)
		if _, listed := c.listed[id]; ok && !listed {
			if err := fn(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// keys reads the keys that tables and logs are encrypted with.
func (c *surveyor) keys() (err error) {
	const name = badger.KeyRegistryFileName
	if _, err := os.Stat(c.path(name)); errors.Is(err, fs.ErrNotExist) {
		logs, err := c.files(".mem")
		if err != nil {
			return err
		}
		if len(c.listed) > 0 || len(logs) > 0 {
			return c.damaged(name, errMissing)
		}
		return nil
	}
	if err := checkRegistry(c.path(name)); err != nil {
		return c.damaged(name, err)
	}
	defer c.caught(name, &err)
	c.registry, err = badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: c.o.Dir, ReadOnly: true, EncryptionKey: c.o.Key[:]})
	if errors.Is(err, badger.ErrEncryptionKeyMismatch) {
		return ErrWrongKey
	}
	if err != nil {
		return c.damaged(name, err)
	}
	return nil
}

// tables checks each block of each table.
func (c *surveyor) tables() error {
	ids := make(chan uint64)
	group, ctx := errgroup.WithContext(context.Background())
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			t := tableCheck{c: c}
			for id := range ids {
				if err := t.check(id, c.listed[id]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for id := range c.listed {
		select {
		case ids <- id:
		case <-ctx.Done():
		}
	}
	close(ids)
	return group.Wait()
}

// discard removes statistics that Badger can't use; it makes them anew.
func (c *surveyor) discard() error {
	const size = 1 << 20
	info, err := os.Stat(c.path("DISCARD"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size()%size == 0 {
		return nil
	}
	if err == nil {
		err = os.Remove(c.path("DISCARD"))
	}
	if err != nil {
		return c.damaged("DISCARD", err)
	}
	return nil
}

// caught makes a panic over a file an error.
func (c *surveyor) caught(file string, err *error) {
	if r := recover(); r != nil {
		*err = c.damaged(file, errors.New("it can't be read"))
	}
}
