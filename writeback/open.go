package writeback

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"megadisk/megaclient/keymem"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// Open opens the state of one account and serves it at once, whether or not
// there is a network. Run must be started for anything to go to or come from
// the cloud. Errors: those of tree.Open and staging.Open; *tree.NewerError also
// for the journal.
func Open(ctx context.Context, o Options) (*Engine, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	stateKey := keymem.Keep(o.StateKey[:])
	o.StateKey = [32]byte{}
	if err := keymem.Problem(); err != nil {
		o.Log.WithError(err).Warn("the memory of keys")
	}
	e := &Engine{
		stateKey: stateKey, log: o.Log, cache: o.Cache, client: o.Client, opts: o, times: o.Timings,
		lane:    make(chan struct{}, 1),
		files:   map[tree.Ino]*fileState{},
		mounts:  map[any]bool{},
		zombies: map[tree.Ino]map[any]bool{},
		keys:    map[string]tree.Ino{},
		tags:    map[string]int{},
		echoes:  echoIndex{},
		dooms:   dooms{},
		spent:   spent{}, sessions: map[tree.Ino]*session{},
		askVersions: make(chan struct{}, 1), spendSoon: make(chan struct{}, 1),
		keysSoon: make(chan struct{}, 1),
	}
	e.lane <- struct{}{}
	e.queue.init()
	e.queue.busy = true // until the batch of the last run is settled
	e.planner.init(e)
	e.status.init()
	e.stream.init()
	e.stop, e.end = context.WithCancel(context.Background())
	if err := e.openStores(); err != nil {
		e.end()
		return nil, err
	}
	err := e.migrate(ctx)
	if err == nil {
		err = e.turnLeft(ctx)
	}
	if err == nil {
		err = e.replay(ctx)
	}
	if err != nil {
		e.end()
		return nil, errors.Join(err, e.staging.Close(), e.tree.Close())
	}
	e.keepReserve()
	e.jobs.Add(2)
	go e.commitLoop()
	go e.compactLoop()
	return e, nil
}

func (e *Engine) openStores() (err error) {
	e.tree, err = tree.Open(tree.Options{
		Dir: filepath.Join(e.opts.Dir, treeDir), Key: e.subkey(labelTree), Log: e.log,
		IsOpen: e.isOpen, PendingKey: e.pendingKey, OwnTag: e.ownTag, Decrypt: e.client.Unlock, Host: e.opts.Host,
		Room: e.makeRoom, Now: e.opts.Now,
	})
	if err != nil {
		return fmt.Errorf("opening the tree: %w", err)
	}
	if err := e.saveOrphaned(); err != nil {
		return errors.Join(err, e.tree.Close())
	}
	e.staging, err = staging.Open(staging.Options{
		Dir: filepath.Join(e.opts.Dir, stagingDir), Key: e.subkey(labelStaging), Log: e.log,
		Barrier: e.tree.Sync, SegmentSize: e.opts.SegmentSize,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("opening the staging: %w", err), e.tree.Close())
	}
	if err := e.openDebris(); err != nil {
		return errors.Join(err, e.staging.Close(), e.tree.Close())
	}
	return nil
}

// replay brings the rows of the last run into memory.
func (e *Engine) replay(ctx context.Context) error {
	e.client.AddShareKeys(e.tree.ShareKeys())
	if e.tree.KeysUnproven() {
		e.stream.wantFetch()
	}
	entries := map[tree.Ino]*entry{}
	err := e.tree.View(func(tx *tree.Tx) error {
		b := tx.Badger()
		if err := e.replayEntries(b, entries); err != nil {
			return err
		}
		if err := e.replayExtents(b); err != nil {
			return err
		}
		if err := e.replayGenerations(b); err != nil {
			return err
		}
		if err := e.replayEchoes(b); err != nil {
			return err
		}
		if err := e.replayDooms(b); err != nil {
			return err
		}
		if err := e.replayHappened(b); err != nil {
			return err
		}
		if err := e.replaySpent(b); err != nil {
			return err
		}
		return e.replayBatch(b)
	})
	if err != nil {
		return fmt.Errorf("%w: reading the journal: %w", tree.ErrCorrupt, err)
	}
	e.queue.apply(entries, e.whatStays(entries))
	e.adoptRestored()
	e.interrupted = e.queue.interruptedBy(entries)
	if e.flight != nil {
		e.queue.setSending(e.flight.list(), true)
	}
	if err := e.mendTorn(ctx); err != nil {
		return err
	}
	if err := e.markBoot(); err != nil {
		return err
	}
	if err := e.dropUnmoved(ctx); err != nil {
		return err
	}
	e.staging.Started()
	if err := e.adoptPending(ctx, e.tree.Pending()); err != nil {
		return err
	}
	if err := e.sweepRemoved(ctx); err != nil {
		return err
	}
	return e.clearLeft(ctx)
}

func (e *Engine) replayEntries(b *badger.Txn, entries map[tree.Ino]*entry) error {
	return scanRows(b, []byte{rowPrefix, rowEntry}, func(key, raw []byte) error {
		ent := &entry{}
		if err := decodeRow(raw, ent); err != nil {
			return fmt.Errorf("journal row: %w", err)
		}
		ent.Retry = 0 // a start is a reason to try again
		entries[inoOfKey(key)] = ent
		e.seq = max(e.seq, ent.Seq)
		return nil
	})
}

// replayExtents tells the staging which of its records are alive.
func (e *Engine) replayExtents(b *badger.Txn) error {
	return scanRegions(b, []byte{rowPrefix, rowExtents}, func(_ tree.Ino, _ uint64, es []staging.Extent) error {
		e.staging.Retain(es...)
		return nil
	})
}

// adoptRestored gives the generations of the last run to their inodes; one
// without is left over.
func (e *Engine) adoptRestored() {
	for _, g := range e.restored {
		adopted := false
		e.queue.with(g.Ino, func(d *dirtyInode) {
			d.gen, adopted = g, true
			d.uploaded = g.State.Token != "" && g.CRC != [16]byte{}
		})
		if !adopted {
			e.staging.Release(g.m.Extents()...)
		}
	}
	e.restored = nil
}

// sweepRemoved drops the rows of removed inodes that the last run still
// needed: a start counts as forgotten by all.
func (e *Engine) sweepRemoved(ctx context.Context) error {
	var dead []tree.Ino
	err := e.tree.View(func(tx *tree.Tx) error {
		return scanRows(tx.Badger(), []byte{rowPrefix, rowZombie}, func(key, _ []byte) error {
			dead = append(dead, inoOfKey(key))
			return nil
		})
	})
	for i := 0; err == nil && i < len(dead); i++ {
		err = e.update(ctx, func(c *change) error {
			if _, journaled, err := c.entry(dead[i]); err != nil || journaled {
				return err
			}
			in, err := c.Get(dead[i])
			if err == nil && (!in.Removed || in.Cloud != nil) {
				return c.b.Delete(inoKey(rowZombie, dead[i])) // it came back, or its node did: nothing to bury
			}
			return c.bury(dead[i])
		})
	}
	if err == nil {
		_, err = e.tree.Reap(ctx, func(in tree.Inode) bool { return e.queue.has(in.Ino) })
	}
	if err != nil {
		return fmt.Errorf("sweeping removed files: %w", err)
	}
	return nil
}

// Close commits everything that is open, ends uploads so that they can be
// resumed, and closes the state. Run has returned when Close does.
func (e *Engine) Close() error {
	if !e.shut() {
		return nil
	}
	e.end()
	err := e.commitAll(context.Background())
	e.jobs.Wait()
	err = errors.Join(err, e.staging.Close(), e.closeTree())
	if err == nil {
		err = os.Remove(filepath.Join(e.opts.Dir, bootFile))
	}
	return err
}

// closeTree closes the tree. Should that take too long, the logs have all. Otherwise it has written to tables what is in memory,
// whatever a sync of the logs says.
func (e *Engine) closeTree() error {
	synced := e.tree.Sync()
	if err := e.tree.Close(); err != nil {
		return errors.Join(synced, err)
	}
	return nil
}

// shut refuses new handles from now on; false if it was called before.
func (e *Engine) shut() bool {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	was := e.closed
	e.closed = true
	return !was
}
