package tree

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// settleNames gives each contested name to the one who has the best right to it.
func (tx *Tx) settleNames() error {
	defer tx.consequence()()
	if !tx.rare.doubles && len(tx.doubles) == 0 {
		return nil
	}
	for len(tx.contested) > 0 {
		for _, id := range slices.SortedFunc(maps.Keys(tx.contested), compareEntries) {
			delete(tx.contested, id)
			if err := tx.settleName(id); err != nil {
				return fmt.Errorf("settling a name: %w", err)
			}
		}
	}
	return nil
}

// compareEntries orders entries, so that the outcome doesn't hang on a map's order.
func compareEntries(a, b entryID) int {
	return cmp.Or(cmp.Compare(a.dir, b.dir), cmp.Compare(a.name, b.name))
}

func (tx *Tx) settleName(id entryID) error {
	best, err := tx.bestDouble(id)
	if err != nil || best == nil {
		return err
	}
	ino, err := tx.entry(id.dir, id.name)
	if err != nil {
		return err
	}
	if ino != 0 {
		holder, err := tx.peek(ino)
		if err != nil {
			return err
		}
		if placedHere(holder) || Shown(holder.Cloud.Name) == id.name && older(holder.Cloud, best.Cloud) {
			return nil
		}
		if err := tx.giveWay(ino, id.name); err != nil {
			return err
		}
	}
	e, err := tx.edit(best.Ino)
	if err != nil {
		return err
	}
	if err := tx.unplace(e); err != nil {
		return err
	}
	return tx.setPlace(e, id.dir, id.name)
}

// bestDouble gives the double that has the best right to a name; nil if there is none.
func (tx *Tx) bestDouble(id entryID) (best *Inode, err error) {
	consider := func(in *Inode) {
		if in != nil && in.Parent == id.dir && isDouble(in) && Shown(in.Cloud.Name) == id.name &&
			(best == nil || older(in.Cloud, best.Cloud)) {
			best = in
		}
	}
	for _, ino := range tx.doubles[id] {
		consider(tx.slots[ino].in)
	}
	if !tx.rare.doubles {
		return best, nil
	}
	if ok, err := tx.row(doubleKey(id.dir, id.name, ""), nil); !ok {
		return best, err
	}
	prefix := doubleKey(id.dir, id.name, "")
	err = tx.scan(prefix, append(prefix, 1), func(item *badger.Item) (bool, error) {
		var r doubleRow
		if err := item.Value(func(b []byte) error { return decodeRow(b, &r) }); err != nil {
			return false, err
		}
		s, err := tx.slot(r.Ino)
		if err == nil {
			consider(s.in)
		}
		return true, err
	})
	return best, err
}
