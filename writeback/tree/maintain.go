package tree

import (
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Reap deletes the rows of removed inodes, but for those with something pending and those that keep
// names: open ones, known to a kernel, or named by a journal. It returns how many went. A start may call
// it with what the journal names.
func (t *Tree) Reap(ctx context.Context, keep func(Inode) bool) (gone int, err error) {
	start := []byte{rowGrave}
	for start != nil {
		keys, next, err := t.findStale(0, rowGrave, start, func(*badger.Item, uint32) (bool, error) { return true, nil })
		if err != nil {
			return gone, err
		}
		start = next
		err = t.Update(ctx, func(tx *Tx) error {
			for _, k := range keys {
				in, err := tx.peek(inoOf(k))
				if isStale(err) || err == nil && (in.Pending != 0 || in.Cloud != nil || keep(*in)) {
					continue
				}
				if err == nil {
					err = tx.drop(in.Ino)
				}
				if err != nil {
					return err
				}
				gone++
			}
			return nil
		})
		if err != nil {
			return gone, fmt.Errorf("reaping removed inodes: %w", err)
		}
	}
	return gone, nil
}

// Locked tells whether there are nodes without a name: see Unlock.
func (t *Tree) Locked() (locked bool, err error) {
	err = t.View(func(tx *Tx) error {
		prefix := []byte{rowNameless}
		return tx.scan(prefix, prefix, func(*badger.Item) (bool, error) { locked = true; return false, nil })
	})
	return locked, err
}

// Unlock tries again to decrypt the nodes without a name (Options.Decrypt), after share keys came. It
// returns how many have one now.
func (t *Tree) Unlock(ctx context.Context) (unlocked int, err error) {
	start := []byte{rowNameless}
	for start != nil {
		keys, next, err := t.findStale(0, rowNameless, start, func(*badger.Item, uint32) (bool, error) { return true, nil })
		if err != nil {
			return unlocked, err
		}
		start = next
		for len(keys) > 0 && err == nil {
			err = t.Update(ctx, func(tx *Tx) error {
				for ; len(keys) > 0 && !tx.Full(); keys = keys[1:] {
					ok, err := tx.unlockInode(inoOf(keys[0][8:]))
					if err != nil {
						return err
					}
					if ok {
						unlocked++
					}
				}
				return nil
			})
		}
		if err != nil {
			return unlocked, fmt.Errorf("decrypting what could not be: %w", err)
		}
	}
	return unlocked, nil
}

func (tx *Tx) unlockInode(ino Ino) (bool, error) {
	in, err := tx.peek(ino)
	if isStale(err) || err == nil && (in.Cloud == nil || !isNameless(in)) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	n := in.Cloud.node()
	if !tx.t.opts.Decrypt(n) {
		return false, nil
	}
	if err := tx.ApplyNode(n, ""); err != nil {
		return false, tx.soften(err)
	}
	return true, nil
}
