package writeback

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// A very large file has more region rows than a transaction takes. So rows
// that nothing refers to any more are removed by steps, after the transaction
// that made them so. What a crash leaves of them is found at the next start:
// region rows of a file without content to send, or of none, and rows of a
// generation that there isn't.

// clearInline and clearStep are how many rows are removed in the transaction
// of which they are the consequence, and in one of their own.
var (
	clearInline = 64
	clearStep   = 1000
)

// clearSome removes region rows of one kind of an inode, with their parts. The
// extents of rowExtents are released after the commit; those of a generation
// are its own to release.
func (c *change) clearSome(kind byte, ino tree.Ino, limit int) (more bool, err error) {
	var ids []uint64
	var es []staging.Extent
	err = scanRegions(c.b, inoKey(kind, ino), func(_ tree.Ino, id uint64, in []staging.Extent) error {
		if len(ids) == limit {
			return errEnough
		}
		ids, es = append(ids, id), append(es, in...)
		return nil
	})
	if more = errors.Is(err, errEnough); err != nil && !more {
		return false, err
	}
	for _, id := range ids {
		if err := c.storeRegion(regionRow{kind: kind, ino: ino, id: id}); err != nil {
			return false, err
		}
	}
	if kind == rowExtents {
		c.after = append(c.after, func() { c.e.staging.Release(es...) })
	}
	return more, nil
}

// clearExtents removes the staged bytes of an inode: some now, the rest by
// steps, as long as nobody has come to need its rows again.
func (c *change) clearExtents(ino tree.Ino) error {
	more, err := c.clearSome(rowExtents, ino, clearInline)
	if more {
		c.later = append(c.later, func() { c.e.clearLater(rowExtents, ino) })
	}
	return err
}

// extentsDead tells whether an inode's region rows are left over.
func (c *change) extentsDead(ino tree.Ino) (bool, error) {
	if c.e.clearOnceIdle(ino) {
		return false, nil
	}
	in, err := c.Get(ino)
	if isGone(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	needed := in.Pending&(tree.PendingContent|tree.PendingCreate) != 0 || in.Removed && in.Cloud == nil
	return !needed, nil
}

// frozenDead tells whether the rows of a generation's extents are left over.
func (c *change) frozenDead(ino tree.Ino) (bool, error) {
	g := c.e.queue.generation(ino)
	return g == nil || !g.Spread, nil
}

// clearLater removes what is left over, unless it isn't any more. An error
// leaves it to the next start.
func (e *Engine) clearLater(kind byte, ino tree.Ino) {
	if err := e.clear(context.Background(), kind, ino); err != nil && !errors.Is(err, tree.ErrClosed) {
		e.log.WithError(err).Warn("removing rows that are left over")
	}
}

// clearOnceIdle tells whether somebody holds a file. What is left over of it is then removed by its next commit, or, since a
// file that is gone has none, when nobody holds it any more.
func (e *Engine) clearOnceIdle(ino tree.Ino) bool {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	st := e.files[ino]
	if st != nil {
		st.leftOver = true
	}
	return st != nil
}

// clear removes what is left over, in steps.
func (e *Engine) clear(ctx context.Context, kind byte, ino tree.Ino) error {
	for more := true; more; {
		err := e.update(ctx, func(c *change) (err error) {
			more = false
			if ok, err := c.leftOver(kind, ino); err != nil || !ok {
				return err
			}
			more, err = c.clearSome(kind, ino, clearStep)
			return err
		})
		if err != nil {
			return fmt.Errorf("removing rows of a large file: %w", err)
		}
	}
	return nil
}

// clearParts removes parts that no row names: those of an upload that was given
// up, or of a commit that failed, before their row was written.
func (e *Engine) clearParts(ctx context.Context) error {
	for more := true; more; {
		err := e.update(ctx, func(c *change) error {
			keys, err := c.lostParts(clearStep)
			for i := 0; err == nil && i < len(keys); i++ {
				err = c.b.Delete(keys[i])
			}
			more = len(keys) == clearStep
			return err
		})
		if err != nil {
			return fmt.Errorf("removing parts of rows: %w", err)
		}
	}
	return nil
}

// lostParts lists parts that no row names, some of them.
func (c *change) lostParts(most int) (keys [][]byte, err error) {
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.PrefetchValues = []byte{rowPrefix, rowPart}, false
	it := c.b.NewIterator(opts)
	defer it.Close()
	var list []byte // the last one looked at: its key without the part's number
	named := false
	for it.Rewind(); it.Valid() && len(keys) < most; it.Next() {
		key := it.Item().KeyCopy(nil)
		if of := key[:len(key)-4]; !bytes.Equal(of, list) {
			if list = of; len(list) != len(partsPrefix(0, 0, 0))+8 {
				return nil, fmt.Errorf("%w: key of a part", tree.ErrCorrupt)
			}
			if named, err = c.namesParts(list); err != nil {
				return nil, err
			}
		}
		if !named {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// namesParts tells whether the row of a region names the parts whose keys begin so.
func (c *change) namesParts(list []byte) (bool, error) {
	place := append([]byte{rowPrefix}, list[2:len(list)-8]...)
	row, err := rawRow(c.b, place)
	if err != nil || len(row) < 2 || row[1] != regionParts {
		return false, err
	}
	stamp, _, err := readParts(row)
	return stamp == binary.BigEndian.Uint64(list[len(list)-8:]), err
}

// clearLeft removes what a crash has left of rows that nothing refers to.
func (e *Engine) clearLeft(ctx context.Context) error {
	for _, kind := range []byte{rowExtents, rowFrozen} {
		inos, err := e.inosWith(kind)
		if err != nil {
			return err
		}
		for _, ino := range inos {
			if err := e.clear(ctx, kind, ino); err != nil {
				return err
			}
		}
	}
	return e.clearParts(ctx)
}

// inosWith lists the inodes that have region rows of a kind and don't need
// them, as far as can be told without a transaction that writes.
func (e *Engine) inosWith(kind byte) (inos []tree.Ino, err error) {
	err = e.tree.View(func(tx *tree.Tx) error {
		c := &change{Tx: tx, e: e, b: tx.Badger()}
		last := tree.Ino(0)
		return scanRows(c.b, []byte{rowPrefix, kind}, func(key, _ []byte) error {
			ino := inoOfKey(key)
			if ino == last {
				return nil
			}
			last = ino
			ok, err := c.leftOver(kind, ino)
			if ok {
				inos = append(inos, ino)
			}
			return err
		})
	})
	return inos, err
}

// leftOver tells whether nothing refers to an inode's region rows of a kind.
func (c *change) leftOver(kind byte, ino tree.Ino) (bool, error) {
	if kind == rowFrozen {
		return c.frozenDead(ino)
	}
	return c.extentsDead(ino)
}
