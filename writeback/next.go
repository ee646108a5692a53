package writeback

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"megadisk/writeback/tree"
)

// A commit may change more region rows than a transaction takes: a file of over
// 4 GiB that gets another content, or is cut off. So that a crash leaves all of
// them or none, they are written beside those that count, as next rows. One
// transaction, the one that changes the file's own row too, says that they
// count. Then they take their places, by steps. A start goes on with those that
// count, before it looks at any region, and removes the others.

// turnStep is how many next rows take their places in one transaction. Tests
// lower it.
var turnStep = rowsAtOnce / 2

// putNext writes next rows.
func (e *Engine) putNext(ctx context.Context, rows []regionRow) error {
	for len(rows) > 0 {
		n := atOnce(rows)
		err := e.update(ctx, func(c *change) error {
			for _, r := range rows[:n] {
				value := r.value
				if value == nil {
					value = []byte{rowVersion}
				}
				if err := c.b.Set(regionKey(rowNext, r.ino, r.id), value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// countNext says that the next rows of a file count.
func (c *change) countNext(ino tree.Ino) error {
	return c.b.Set(inoKey(rowNext, ino), []byte{rowVersion})
}

// turnLocked ends what a commit has begun with next rows.
func (e *Engine) turnLocked(ctx context.Context, st *fileState) error {
	if !st.turning {
		return nil
	}
	if err := e.turn(ctx, st.ino); err != nil {
		return err
	}
	st.turning = false
	return nil
}

// turn lets the next rows of a file take their places if they count, and
// removes them if they don't.
func (e *Engine) turn(ctx context.Context, ino tree.Ino) error {
	for more := true; more; {
		err := e.update(ctx, func(c *change) (err error) {
			more, err = c.turnSome(ino)
			return err
		})
		if err != nil {
			return fmt.Errorf("storing the extents of a large file: %w", err)
		}
	}
	return nil
}

// turnSome does as many as a transaction takes. A row that has taken its place
// is gone as a next one: its parts are those of the place now.
func (c *change) turnSome(ino tree.Ino) (more bool, err error) {
	var rows []regionRow
	count, size := false, 0
	mark := inoKey(rowNext, ino)
	err = scanRows(c.b, mark, func(key, raw []byte) error {
		switch {
		case len(raw) == 0:
			return fmt.Errorf("%w: next row of a region", tree.ErrCorrupt)
		case len(key) == len(mark): // it comes first
			count = true
			return nil
		case len(rows) == turnStep || size >= regionBytes:
			return errEnough
		}
		r := regionRow{kind: rowExtents, ino: ino, id: regionOfKey(key)}
		if len(raw) > 1 {
			r.value = bytes.Clone(raw)
		}
		rows, size = append(rows, r), size+len(raw)
		return nil
	})
	if more = errors.Is(err, errEnough); err != nil && !more {
		return false, err
	}
	for _, r := range rows {
		if count {
			if err := c.storeRegion(r); err != nil {
				return false, err
			}
		}
		if err := c.b.Delete(regionKey(rowNext, ino, r.id)); err != nil {
			return false, err
		}
	}
	if more {
		return true, nil
	}
	return false, c.b.Delete(mark)
}

// turnLeft ends what commits of the last run have begun.
func (e *Engine) turnLeft(ctx context.Context) error {
	var inos []tree.Ino
	err := e.tree.View(func(tx *tree.Tx) error {
		return scanRows(tx.Badger(), []byte{rowPrefix, rowNext}, func(key, _ []byte) error {
			if n := len(inos); n == 0 || inos[n-1] != inoOfKey(key) {
				inos = append(inos, inoOfKey(key))
			}
			return nil
		})
	})
	for i := 0; err == nil && i < len(inos); i++ {
		err = e.turn(ctx, inos[i])
	}
	return err
}
