package writeback

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// journalVersion is the version of the journal as a whole; FORMAT.md has their
// history.
const journalVersion = 3

// metaJournal is the name under which the tree keeps the journal's version.
// Version 1 had none.
const metaJournal = "writeback/journal"

// migrations[i] brings a journal of version i+1 to the next one, by
// transactions of bounded size. One that was interrupted begins anew: each knows
// what it has done already.
var migrations = []func(*Engine, context.Context) error{(*Engine).packGenerations, (*Engine).sameRows}

// migrateBytes of rows go into one transaction of a migration. Tests lower it.
var migrateBytes = regionBytes

// migrate brings the journal to the present version. Error: *tree.NewerError.
func (e *Engine) migrate(ctx context.Context) error {
	have, err := e.readJournalVersion()
	if err != nil {
		return fmt.Errorf("reading the journal's version: %w", err)
	}
	switch {
	case have > journalVersion:
		return &tree.NewerError{Have: have, Known: journalVersion}
	case have == 0:
		return e.storeJournalVersion(ctx, journalVersion)
	}
	for ; have < journalVersion; have++ {
		e.log.WithField("from", have).Info("the journal is brought to the next version of its format")
		err := migrations[have-1](e, ctx)
		if err == nil {
			err = e.storeJournalVersion(ctx, have+1)
		}
		if err != nil {
			return fmt.Errorf("migrating the journal from version %d: %w", have, err)
		}
	}
	return nil
}

// readJournalVersion gives the version of the journal that is there, 0 for
// none.
func (e *Engine) readJournalVersion() (version int, err error) {
	blank, err := e.isBlank()
	if err != nil {
		return 0, err
	}
	if !blank {
		version = 1
	}
	err = e.tree.View(func(tx *tree.Tx) error {
		raw, err := tx.Meta(metaJournal)
		if err == nil && len(raw) == 8 {
			version = int(binary.BigEndian.Uint64(raw))
		}
		return err
	})
	return version, err
}

func (e *Engine) storeJournalVersion(ctx context.Context, version int) error {
	return e.update(ctx, func(c *change) error {
		return c.SetMeta(metaJournal, binary.BigEndian.AppendUint64(nil, uint64(version)))
	})
}

// generation1 is a generation's row in version 1: the extents were a list of
// maps.
type generation1 struct {
	generation
	Extents []staging.Extent `cbor:"7,keyasint,omitempty"`
}

// packGenerations packs the extents of generations: from version 1 to 2.
func (e *Engine) packGenerations(ctx context.Context) error {
	for more := true; more; {
		err := e.update(ctx, func(c *change) (err error) {
			more, err = c.packSome()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// packSome packs as many as a transaction takes.
func (c *change) packSome() (more bool, err error) {
	var packed []*generation
	bytes := 0
	err = scanRows(c.b, []byte{rowPrefix, rowGeneration}, func(_, raw []byte) error {
		if len(raw) > 0 && raw[0] > 1 {
			return nil
		}
		if bytes >= migrateBytes {
			return errEnough
		}
		bytes += len(raw)
		old := &generation1{}
		if err := decodeRow(raw, old); err != nil {
			return fmt.Errorf("row of a frozen file: %w", err)
		}
		if !old.Spread {
			old.Packed = staging.EncodeExtents(old.Extents)
		}
		packed = append(packed, &old.generation)
		return nil
	})
	if more = errors.Is(err, errEnough); err != nil && !more {
		return false, err
	}
	for _, g := range packed {
		if err := c.putGeneration(g); err != nil {
			return false, err
		}
	}
	return more, nil
}

// sameRows changes nothing: version 3 has rows (next.go) that no program before it left, and that none before it may pass over.
func (e *Engine) sameRows(context.Context) error { return nil }
