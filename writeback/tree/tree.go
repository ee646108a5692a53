package tree

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"megadisk/megaclient"

	"github.com/dgraph-io/badger/v4"
	"github.com/sirupsen/logrus"
)

// Tree is an open inode table. All its methods may be called from any goroutine.
//
// Lock order: writeMu, then users.mu, then stateMu, then the locks of memory and of the dispatcher. No callback of
// Options but IsOpen, PendingKey, OwnTag and Decrypt is called under writeMu, and they must not call
// the tree.
type Tree struct {
	// Dependencies.
	opts Options
	log  logrus.FieldLogger
	lock *os.File     // nil in memory
	draw func([]byte) // fills with random bytes

	logs      *logKeeper // nil in memory
	recovered string     // constant: what was lost when it was opened, "" normally

	// Parts with locks of their own.
	memory   *memory
	dispatch *dispatcher
	sweeper  *sweeper
	syncs    *syncer

	residents residents
	attending sync.WaitGroup // of attendMerge

	users   users      // who uses the database
	db      *badger.DB // constant while somebody does
	filling bool       // GUARDED_BY(writeMu): the database was opened to be filled

	writeMu sync.Mutex // held by the one transaction that writes
	written *filter    // GUARDED_BY(writeMu): nil after the first fetch

	// Mutable state: what rows say and everybody asks for. Changed only by a commit, with writeMu too.
	stateMu sync.RWMutex
	state   state // GUARDED_BY(stateMu)
}

// state is the part of the rows that is kept in memory.
type state struct {
	next      Ino    // the next number to give
	epoch     uint32 // of the last fetch begun
	fetched   bool   // a fetch has come to its end once
	fetching  bool   // one is under way in this process
	sn        string
	shareKeys map[megaclient.Handle]megaclient.ShareKey
	unmarked  map[megaclient.Handle]bool     // share keys of which is not known whether they are proven
	pending   map[Ino]struct{}               // inodes with a Pending bit
	halves    map[megaclient.Handle]struct{} // nodes of which only the first half of a move was heard
	rare      rare
}

// rare says which rows there may be of those that most trees have none of: then nobody looks for one with each node.
type rare struct{ doubles, orphans bool }

// Open opens the tree in o.Dir, or makes an empty one. Errors: *LockedError, *NewerError, *DamagedError,
// ErrWrongKey.
func Open(o Options) (_ *Tree, err error) {
	o = withDefaults(o)
	t := &Tree{opts: o, log: o.Log, memory: newMemory(o.CacheInodes), draw: func(b []byte) { rand.Read(b) }}
	if !o.InMemory {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the folder of the state: %w", err)
		}
		if t.lock, err = lockDir(o.Dir); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil && !errors.Is(err, errStaysOpen) {
				_ = unlockDir(t.lock) // what went wrong before counts
			}
		}()
	}
	t.filling = isNew(o)
	if t.db, t.recovered, err = openBadger(o, t.filling); err != nil {
		return nil, err
	}
	if t.recovered != "" {
		t.log.WithField("cut", t.recovered).Error("the database was damaged; it goes on from the last good record")
	}
	if err := t.load(); err != nil {
		return nil, errors.Join(err, t.closeDatabase())
	}
	if !o.InMemory {
		if t.logs, err = newLogKeeper(o.Dir, o.Room); err == nil {
			err = setRunning(o.Dir)
		}
		if err != nil {
			return nil, errors.Join(err, t.closeDatabase())
		}
	}
	if !t.state.fetched {
		if err := t.reopen(true); err != nil {
			return nil, errors.Join(err, t.closeDatabase())
		}
	}
	t.syncs = newSyncer(t.syncLogs)
	t.dispatch = newDispatcher()
	t.sweeper = newSweeper(t)
	return t, nil
}

func withDefaults(o Options) Options {
	if o.Log == nil {
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		o.Log = quiet
	}
	if o.IsOpen == nil {
		o.IsOpen = func(Ino) bool { return false }
	}
	if o.PendingKey == nil {
		o.PendingKey = func([]byte, megaclient.Handle, string) (Ino, bool) { return 0, false }
	}
	if o.OwnTag == nil {
		o.OwnTag = func(string) bool { return false }
	}
	if o.Decrypt == nil {
		o.Decrypt = func(*megaclient.Node) bool { return false }
	}
	if o.Host == "" {
		o.Host = "here"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CacheInodes <= 0 {
		o.CacheInodes = 16384
	}
	return o
}

// Close ends the tree's goroutines and closes the database, when what uses it has ended. Changes already
// committed are still told to the subscribers. Not to be called by a subscriber.
func (t *Tree) Close() error {
	if !t.users.close() {
		return nil
	}
	t.sweeper.close()
	t.attending.Wait()
	t.users.wait()
	t.dispatch.close()
	if t.logs != nil {
		t.logs.room(roomToRotate) // what is in memory becomes a table
		t.logs.close()
	}
	err := t.closeDatabase()
	if err == nil && t.logs != nil {
		err = setClosed(t.opts)
	}
	if t.lock != nil && !errors.Is(err, errStaysOpen) {
		err = errors.Join(err, unlockDir(t.lock))
	}
	if err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}

// closeLimit is how long Badger may take to write what is in memory. It tries again for ever where the disk is full or
// gone; its logs hold all of that, so that an end without it loses nothing.
const closeLimit = 30 * time.Second

// errStaysOpen means that the database is open until the process ends; the next start reads its logs.
var errStaysOpen = errors.New("the disk of the state takes no more, so the next start reads the logs")

// closeDatabase gives Badger closeLimit. Past that its goroutine is left to the end of the process, and the lock is
// kept until then.
func (t *Tree) closeDatabase() error {
	if !t.opts.InMemory {
		if err := setClosing(t.opts.Dir); err != nil {
			return fmt.Errorf("%w: %w", errStaysOpen, err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- t.db.Close() }()
	select {
	case err := <-done:
		return err
	case <-time.After(closeLimit):
		return errStaysOpen
	}
}

// Poor says that the disk is so full that not even the database's next log has its room: nothing may grow.
func (t *Tree) Poor() bool { return t.logs != nil && t.logs.poor.Load() }

// Recovered says what was cut off because it was damaged when the tree was opened, "" normally: rows that were
// there may be missing or older.
func (t *Tree) Recovered() string { return t.recovered }

// Sync returns when every transaction committed before the call survives a loss of power. Calls at the
// same time share one sync. Once the disk has failed one, all fail until the database is opened anew: an end in good order writes
// to tables what is in memory, and a start after another end what it reads in the logs.
func (t *Tree) Sync() error {
	if err := t.users.enter(); err != nil {
		return err
	}
	defer t.users.leave()
	if err := t.syncs.sync(); err != nil {
		return fmt.Errorf("syncing the database: %w", err)
	}
	return nil
}

// Unsynced says why Sync fails until the database is opened anew; nil: it doesn't.
func (t *Tree) Unsynced() error { return t.syncs.failure() }

// syncLogs makes durable what was committed, wherever it is.
func (t *Tree) syncLogs() error {
	if err := t.db.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errDropped, err)
	}
	if t.logs == nil {
		return nil
	}
	return t.logs.syncFull()
}

// View runs fn with one consistent view of the tree. What fn gets from tx must not be used after it.
func (t *Tree) View(fn func(*Tx) error) error {
	if err := t.users.enter(); err != nil {
		return err
	}
	defer t.users.leave()
	defer t.used(1)
	return t.db.View(func(txn *badger.Txn) error {
		tx := &Tx{t: t, txn: txn, slots: map[Ino]*slot{}}
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Unread()
	})
}

// Update runs fn in the one transaction that may write, and commits what it did unless it fails. Errors
// of fn are returned as they are. After the commit, and not under any lock, the subscribers are told.
// ctx is asked before the transaction begins, and may carry an origin (WithOrigin).
func (t *Tree) Update(ctx context.Context, fn func(*Tx) error) error {
	t.writeMu.Lock()
	defer t.writeMu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.users.enter(); err != nil {
		return err
	}
	defer t.users.leave()
	defer t.used(residentEvery / 4)
	tx := newTx(t, Origin(ctx))
	defer tx.txn.Discard()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.finish(); err != nil {
		return err
	}
	if err := tx.Unread(); err != nil {
		return err
	}
	if t.logs != nil {
		t.logs.committing()
	}
	t.memory.begin(tx)
	err := tx.txn.Commit()
	t.memory.end(tx, err == nil)
	if t.logs != nil {
		t.logs.committed()
	}
	if err != nil {
		return tooBig(err, "committing")
	}
	if tx.fetched {
		t.written = nil
	}
	t.stateMu.Lock()
	tx.publishLocked()
	t.stateMu.Unlock()
	t.dispatch.send(tx.changes)
	if tx.kick {
		t.sweeper.kick()
	}
	return nil
}

// tooBig names Badger's refusal of a transaction.
func tooBig(err error, doing string) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		err = errors.Join(ErrTooBig, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Subscribe has fn called with the changes of each transaction, in the order of their commits, from one
// goroutine and under no lock. After cancel returns it is not called again; cancel must not be called
// by fn itself.
func (t *Tree) Subscribe(fn func([]Change)) (cancel func()) { return t.dispatch.subscribe(fn) }

// SN gives the event sequence number up to which the tree has followed; "" if none.
func (t *Tree) SN() string {
	t.stateMu.RLock()
	defer t.stateMu.RUnlock()
	return t.state.sn
}

// Made says how many inodes there have ever been.
func (t *Tree) Made() int {
	t.stateMu.RLock()
	defer t.stateMu.RUnlock()
	return int(t.state.next - firstFree)
}

// Fetched says whether the tree of the account has been fetched whole at least once.
func (t *Tree) Fetched() bool {
	t.stateMu.RLock()
	defer t.stateMu.RUnlock()
	return t.state.fetched
}

// ShareKeys gives the share keys that were kept (Tx.AddShareKeys).
func (t *Tree) ShareKeys() map[megaclient.Handle]megaclient.ShareKey {
	t.stateMu.RLock()
	defer t.stateMu.RUnlock()
	return maps.Clone(t.state.shareKeys)
}

// KeysUnproven says that an earlier program kept share keys without saying which are proven: a fetch tells.
func (t *Tree) KeysUnproven() bool {
	t.stateMu.RLock()
	defer t.stateMu.RUnlock()
	return len(t.state.unmarked) > 0
}

// Pending gives the inodes with a Pending bit, in the order of their numbers.
func (t *Tree) Pending() []Ino {
	t.stateMu.RLock()
	defer t.stateMu.RUnlock()
	return slices.Sorted(maps.Keys(t.state.pending))
}
