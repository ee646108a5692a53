package writeback

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// The extents of a region (4 MiB of a file) are one row, packed. A program that
// writes single bytes all over a file makes lists that no row and no
// transaction holds: then the row only names part rows, which were written
// before it under a stamp of their own, and all change at once with the row.
//
// These are variables only for the tests, which lower them to get there sooner.
var (
	inlineRegion = 128 << 10 // packed extents up to this stand in the region's own row
	partBytes    = 256 << 10 // of packed extents in a part row
	regionBytes  = 512 << 10 // of region rows that one transaction takes
)

// What the second byte of a region row says.
const (
	regionInline = 0 // packed extents follow
	regionParts  = 1 // stamp and number of part rows follow, both as varints
)

// regionRow is a region as it is to be stored.
type regionRow struct {
	kind  byte // rowExtents or rowFrozen
	ino   tree.Ino
	id    uint64
	value []byte // nil: no extents
}

func partKey(kind byte, ino tree.Ino, region, stamp uint64, part int) []byte {
	k := binary.BigEndian.AppendUint64(partsPrefix(kind, ino, region), stamp)
	return binary.BigEndian.AppendUint32(k, uint32(part))
}

func partsPrefix(kind byte, ino tree.Ino, region uint64) []byte {
	k := binary.BigEndian.AppendUint64([]byte{rowPrefix, rowPart, kind}, uint64(ino))
	return binary.BigEndian.AppendUint64(k, region)
}

// inlineRow gives the row of a region whose extents fit into it; false if they
// don't.
func inlineRow(kind byte, ino tree.Ino, id uint64, es []staging.Extent) (regionRow, bool) {
	r := regionRow{kind: kind, ino: ino, id: id}
	if len(es) == 0 {
		return r, true
	}
	packed := staging.EncodeExtents(es)
	if len(packed) > inlineRegion {
		return r, false
	}
	r.value = append([]byte{rowVersion, regionInline}, packed...)
	return r, true
}

// prepareRegion gives the row of a region. The parts of a large one are
// written, in transactions of their own.
func (e *Engine) prepareRegion(ctx context.Context, kind byte, ino tree.Ino, id uint64, es []staging.Extent) (regionRow, error) {
	r, fits := inlineRow(kind, ino, id, es)
	if fits {
		return r, nil
	}
	packed := staging.EncodeExtents(es)
	stamp := uint64(e.now().UnixNano())
	parts := 0
	for len(packed) > 0 {
		err := e.update(ctx, func(c *change) error {
			for room := regionBytes; room > 0 && len(packed) > 0; room -= partBytes {
				n := min(len(packed), partBytes)
				if err := c.b.Set(partKey(kind, ino, id, stamp, parts), packed[:n:n]); err != nil {
					return err
				}
				packed = packed[n:]
				parts++
			}
			return nil
		})
		if err != nil {
			return r, fmt.Errorf("storing the extents of a crumbled region: %w", err)
		}
	}
	r.value = binary.AppendUvarint([]byte{rowVersion, regionParts}, stamp)
	r.value = binary.AppendUvarint(r.value, uint64(parts))
	return r, nil
}

// storeRegion stores a region's row, and removes the parts of the one before.
func (c *change) storeRegion(r regionRow) error {
	key := regionKey(r.kind, r.ino, r.id)
	old, err := rawRow(c.b, key)
	if err != nil {
		return err
	}
	if len(old) > 1 && old[1] == regionParts {
		stamp, count, err := readParts(old)
		if err != nil {
			return err
		}
		for i := range count {
			if err := c.b.Delete(partKey(r.kind, r.ino, r.id, stamp, i)); err != nil {
				return err
			}
		}
	}
	if r.value == nil {
		if old == nil {
			return nil
		}
		return c.b.Delete(key)
	}
	return c.b.Set(key, r.value)
}

// atOnce tells how many of the rows one transaction takes.
func atOnce(rows []regionRow) int {
	n, bytes := 0, 0
	for n < len(rows) && n < rowsAtOnce && (n == 0 || bytes+len(rows[n].value) <= regionBytes) {
		bytes += len(rows[n].value)
		n++
	}
	return n
}

// putRegions stores as many rows as must go before those that the caller's own
// transaction takes, which it gives back. Nothing may refer to them before that.
func (e *Engine) putRegions(ctx context.Context, rows []regionRow) (rest []regionRow, err error) {
	for {
		n := atOnce(rows)
		if n == len(rows) {
			return rows, nil
		}
		err := e.update(ctx, func(c *change) error {
			for _, r := range rows[:n] {
				if err := c.storeRegion(r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		rows = rows[n:]
	}
}

// regionsOf prepares the rows of some regions of a map.
func (e *Engine) regionsOf(ctx context.Context, kind byte, ino tree.Ino, m *staging.Map, ids []uint64) ([]regionRow, error) {
	rows := make([]regionRow, 0, len(ids))
	for _, id := range ids {
		r, err := e.prepareRegion(ctx, kind, ino, id, m.Region(id))
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func readParts(raw []byte) (stamp uint64, count int, err error) {
	stamp, n := binary.Uvarint(raw[2:])
	if n > 0 {
		parts, m := binary.Uvarint(raw[2+n:])
		if m > 0 && parts <= 1<<20 {
			return stamp, int(parts), nil
		}
	}
	return 0, 0, errors.New("damaged region row")
}

// readRegion reads the extents that a region row stands for.
func readRegion(b *badger.Txn, key, raw []byte) ([]staging.Extent, error) {
	if len(raw) < 2 {
		return nil, errors.New("damaged region row")
	}
	if raw[0] > rowVersion {
		return nil, fmt.Errorf("row format %d is of a newer version", raw[0])
	}
	if raw[1] == regionInline {
		return staging.DecodeExtents(raw[2:])
	}
	stamp, count, err := readParts(raw)
	if err != nil {
		return nil, err
	}
	var packed []byte
	for i := range count {
		part, err := rawRow(b, partKey(key[1], inoOfKey(key), regionOfKey(key), stamp, i))
		if err != nil {
			return nil, err
		}
		packed = append(packed, part...)
	}
	return staging.DecodeExtents(packed)
}

// rawRow gives a copy of a row's value; nil if there is none.
func rawRow(b *badger.Txn, key []byte) ([]byte, error) {
	it, err := b.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return it.ValueCopy(nil)
}

// scanRegions calls fn for each region that has extents of one kind, of all
// inodes whose key begins with prefix.
func scanRegions(b *badger.Txn, prefix []byte, fn func(ino tree.Ino, id uint64, es []staging.Extent) error) error {
	return scanRows(b, prefix, func(key, raw []byte) error {
		es, err := readRegion(b, key, raw)
		if err != nil {
			return fmt.Errorf("extents of inode %d: %w", inoOfKey(key), err)
		}
		return fn(inoOfKey(key), regionOfKey(key), es)
	})
}

// loadMap fills m from the rows of one kind.
func loadMap(b *badger.Txn, kind byte, ino tree.Ino, m *staging.Map) error {
	return scanRegions(b, inoKey(kind, ino), func(_ tree.Ino, id uint64, es []staging.Extent) error {
		return m.SetRegion(id, es)
	})
}

// putRegion stores the few extents of a region that fit into one row.
func (c *change) putRegion(kind byte, ino tree.Ino, id uint64, es []staging.Extent) error {
	r, fits := inlineRow(kind, ino, id, es)
	if !fits {
		return fmt.Errorf("%d extents in a region: %w", len(es), tree.ErrTooBig)
	}
	return c.storeRegion(r)
}
