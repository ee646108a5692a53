package tree

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// Sizes for a laptop; Badger's own defaults are a server's.
const (
	memTableSize = 8 << 20 // a table made of one takes four times that meanwhile
	numMemtables = 1       // waiting to be written, beside the one that is and the one in use
	valueLogSize = 16 << 20
	valueInTree  = 1 << 20 // values below this live in the tree itself: the value log stays empty
	blockCache   = 32 << 20
	indexCache   = 24 << 20 // filters and block indexes of a million nodes: 10 MiB; a miss is dear
	tableSize    = 1 << 20  // at every level: a dozen are made at once, and each takes six times that meanwhile

	levelZero, levelZeroStall               = 5, 20 // tables that are merged, and with which writing waits for that
	fillingLevelZero, fillingLevelZeroStall = 64, 80
)

// badgerOptions are the options of the one database of tree and journal, to be filled or to be used. Writes aren't
// synced one by one (Sync does that, for whoever asked); since there is one writer, conflicts aren't looked for.
func badgerOptions(o Options, filling bool) badger.Options {
	tables, stall := levelZero, levelZeroStall
	if filling {
		tables, stall = fillingLevelZero, fillingLevelZeroStall
	}
	b := badger.DefaultOptions(o.Dir).
		WithInMemory(o.InMemory).
		WithLogger(quietLogger{o.Log}).
		WithBypassLockGuard(true). // ours is held (lock.go)
		WithSyncWrites(false).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithNumVersionsToKeep(1).
		WithMemTableSize(memTableSize).
		WithNumMemtables(numMemtables).
		WithBaseTableSize(tableSize).
		WithNumLevelZeroTables(tables).
		WithNumLevelZeroTablesStall(stall).
		WithNumCompactors(2).
		WithValueThreshold(valueInTree).
		WithBlockCacheSize(blockCache).
		WithIndexCacheSize(indexCache).
		WithCompression(options.Snappy).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithVerifyValueChecksum(true).
		WithCompactL0OnClose(false) // an unmount shouldn't wait for it
	b.TableSizeMultiplier = 1
	if o.InMemory {
		return b.WithDir("").WithValueDir("")
	}
	return b.WithValueLogFileSize(valueLogSize).WithEncryptionKey(o.Key[:])
}

// openBadger checks and opens the database, and names the errors that have a reason of their own. What is found
// wrong only by opening (a file that no check knows) is damage too.
func openBadger(o Options, filling bool) (db *badger.DB, recovered string, err error) {
	if !o.InMemory {
		if recovered, err = checkFiles(o); err != nil {
			return nil, "", err
		}
	}
	db, err = openChecked(o, filling)
	return db, recovered, err
}

// openChecked opens the database without a look at its files.
func openChecked(o Options, filling bool) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &DamagedError{Dir: o.Dir, Err: errors.New("it can't be read")}
		}
	}()
	db, err = badger.Open(badgerOptions(o, filling))
	switch {
	case errors.Is(err, badger.ErrEncryptionKeyMismatch):
		return nil, ErrWrongKey
	case err == nil:
		return db, nil
	}
	switch errno := systemError(err); {
	case errno == unix.EIO:
		return nil, &DamagedError{Dir: o.Dir, Err: errno}
	case errno != 0:
		return nil, fmt.Errorf("opening the database in %s: %w", o.Dir, errno)
	}
	return nil, &DamagedError{Dir: o.Dir, Err: err}
}

// systemError finds what the system said in an error of Badger, which keeps only the text of it; 0 if it said nothing of this
// kind: the disk fails, or something isn't to be had or not allowed now.
func systemError(err error) unix.Errno {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EACCES, unix.EPERM, unix.EROFS, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EIO} {
		if errors.Is(err, errno) || strings.Contains(err.Error(), errno.Error()) {
			return errno
		}
	}
	return 0
}

// quietLogger passes on what Badger says, at level debug but for errors, and only the constant part of
// it: its arguments can be keys, and so names.
type quietLogger struct{ log logrus.FieldLogger }

func (l quietLogger) Errorf(f string, _ ...any)   { l.log.Error("database: " + strings.TrimSpace(f)) }
func (l quietLogger) Warningf(f string, _ ...any) { l.log.Debug("database: " + strings.TrimSpace(f)) }
func (l quietLogger) Infof(f string, _ ...any)    { l.log.Debug("database: " + strings.TrimSpace(f)) }
func (l quietLogger) Debugf(f string, _ ...any)   { l.log.Debug("database: " + strings.TrimSpace(f)) }
