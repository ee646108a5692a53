package tree

import (
	"context"
	"fmt"

	"megadisk/megaclient"

	"github.com/dgraph-io/badger/v4"
)

// BeginFetch begins a full fetch and gives its epoch: what is applied from now on carries it. The nodes
// are applied by ApplyNode, some hundred in a transaction (Tx.Full); then EndFetch removes what wasn't
// named. A fetch that never ends, by a crash or an error, leaves the tree whole; the next one begins anew.
func (t *Tree) BeginFetch(ctx context.Context) (epoch uint32, err error) {
	err = t.Update(ctx, func(tx *Tx) error {
		tx.epoch++
		epoch = tx.epoch
		return nil
	})
	if err == nil {
		t.setFetching(true)
	}
	return epoch, err
}

func (t *Tree) setFetching(on bool) {
	t.stateMu.Lock()
	defer t.stateMu.Unlock()
	t.state.fetching = on
}

// EndFetch removes the nodes, versions and orphans that the fetch didn't name, in bounded transactions,
// and returns when the sweep is through. It may be called again after an error. Only then should SetSN
// keep the fetch's sequence number. ErrInvalid if a later fetch has begun.
func (t *Tree) EndFetch(ctx context.Context, epoch uint32) error {
	if err := t.Settled(ctx); err != nil { // orphans find their parents first
		return err
	}
	t.setFetching(false)
	if epoch > firstEpoch {
		if err := t.removeAllStale(ctx, epoch); err != nil {
			return err
		}
	}
	err := t.Update(ctx, func(tx *Tx) error {
		if tx.epoch != epoch {
			return fmt.Errorf("ending fetch %d during fetch %d: %w", epoch, tx.epoch, ErrInvalid)
		}
		tx.fetched = true
		return nil
	})
	if err != nil {
		return err
	}
	return t.reopen(false)
}

// firstEpoch is that of the first fetch: nothing in the tree is from before.
const firstEpoch = 1

// removeAllStale removes what the fetch didn't name.
func (t *Tree) removeAllStale(ctx context.Context, epoch uint32) error {
	for _, step := range []struct {
		prefix byte
		stale  func(*badger.Item, uint32) (bool, error)
		remove func(*Tx, []byte, uint32) error
	}{
		{rowInode, staleInode, (*Tx).removeStaleInode},
		{rowVersion, staleVersion, (*Tx).removeStaleVersion},
		{rowOrphan, staleOrphan, (*Tx).removeStaleOrphan},
	} {
		if err := t.removeStale(ctx, epoch, step.prefix, step.stale, step.remove); err != nil {
			return fmt.Errorf("ending a fetch: %w", err)
		}
	}
	return t.Settled(ctx)
}

// removeStale goes through all rows of a prefix, some at a time.
func (t *Tree) removeStale(ctx context.Context, epoch uint32, prefix byte,
	stale func(*badger.Item, uint32) (bool, error), remove func(*Tx, []byte, uint32) error) error {
	start := []byte{prefix}
	for start != nil {
		keys, next, err := t.findStale(epoch, prefix, start, stale)
		if err != nil {
			return err
		}
		start = next
		for done := 0; done < len(keys); {
			n := 0
			err = t.Update(ctx, func(tx *Tx) error {
				n, err = tx.removeSome(keys[done:], epoch, remove)
				return err
			})
			if err != nil {
				return err
			}
			done += n
		}
	}
	return ctx.Err()
}

// removeSome removes what one transaction takes; it returns how many that were.
func (tx *Tx) removeSome(keys [][]byte, epoch uint32, remove func(*Tx, []byte, uint32) error) (n int, err error) {
	if tx.epoch != epoch {
		return 0, fmt.Errorf("ending fetch %d during fetch %d: %w", epoch, tx.epoch, ErrInvalid)
	}
	for n < len(keys) && !tx.Full() {
		if err := remove(tx, keys[n], epoch); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// findStale collects some keys of stale rows, and where to go on (nil: nowhere).
func (t *Tree) findStale(epoch uint32, prefix byte, start []byte, stale func(*badger.Item, uint32) (bool, error)) (keys [][]byte, next []byte, err error) {
	err = t.View(func(tx *Tx) error {
		return tx.scan([]byte{prefix}, start, func(item *badger.Item) (bool, error) {
			if len(keys) >= sweepAtOnce {
				next = item.KeyCopy(nil)
				return false, nil
			}
			is, err := stale(item, epoch)
			if is {
				keys = append(keys, item.KeyCopy(nil))
			}
			return true, err
		})
	})
	return keys, next, err
}

func isStaleInode(in *Inode, epoch uint32) bool {
	return in.Cloud != nil && in.Parent != 0 && in.Epoch < epoch
}

func staleInode(item *badger.Item, epoch uint32) (is bool, err error) {
	err = item.Value(func(b []byte) error {
		var in Inode
		err := decodeInode(b, &in)
		is = isStaleInode(&in, epoch)
		return err
	})
	return is, err
}

func (tx *Tx) removeStaleInode(k []byte, epoch uint32) error {
	in, err := tx.peek(inoOf(k))
	if isStale(err) || err == nil && !isStaleInode(in, epoch) {
		return nil
	}
	if err != nil {
		return err
	}
	e, err := tx.edit(in.Ino)
	if err != nil {
		return err
	}
	return tx.removeNode(e)
}

func staleVersion(item *badger.Item, epoch uint32) (is bool, err error) {
	err = item.Value(func(b []byte) error {
		var v Version
		err := decodeRow(b, &v)
		is = v.Epoch < epoch
		return err
	})
	return is, err
}

func (tx *Tx) removeStaleVersion(k []byte, epoch uint32) error {
	var v Version
	ok, err := tx.row(k, &v)
	if err != nil || !ok || v.Epoch >= epoch {
		return err
	}
	return tx.dropVersion(inoOf(k), v.Handle)
}

func staleOrphan(item *badger.Item, epoch uint32) (is bool, err error) {
	if len(orphanHandle(item.Key())) == 0 {
		return false, nil
	}
	err = item.Value(func(b []byte) error {
		var r orphanRow
		err := decodeRow(b, &r)
		is = r.Epoch < epoch
		return err
	})
	return is, err
}

// orphanHandle gives the handle in the key of an orphan's row.
func orphanHandle(k []byte) megaclient.Handle {
	if len(k) < 2 || len(k) < 2+int(k[1]) {
		return ""
	}
	return megaclient.Handle(k[2+int(k[1]):])
}

func (tx *Tx) removeStaleOrphan(k []byte, epoch uint32) error {
	h := orphanHandle(k)
	r, known, err := tx.handle(h)
	if err != nil {
		return err
	}
	if known && r.Orphan != "" {
		return tx.dropOrphan(r.Orphan, h)
	}
	return tx.del(k)
}
