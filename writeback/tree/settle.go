package tree

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
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
	if err != nil {
		return err
	}
	if best == nil {
		return tx.shortenDouble(id)
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
