package tree

import (
	"fmt"

	"megadisk/megaclient"

	"github.com/dgraph-io/badger/v4"
)

// Orphans are nodes whose parent is unknown. A node without an inode lies in its row; of a node that has
// one, which stays where it is for now, the row only says for which parent it waits. When that parent
// comes, its orphans are applied: some in the same transaction, the rest by the sweeper.

// adoptAtOnce is how many orphans one transaction takes.
const adoptAtOnce = 200

// park keeps a node for later.
func (tx *Tx) park(c *Cloud, foreign bool) error {
	if c.Parent == "" {
		return fmt.Errorf("a node without a parent: %w", ErrInvalid)
	}
	r, known, err := tx.handle(c.Handle)
	if err != nil {
		return err
	}
	switch {
	case known && r.Version:
		err = tx.dropVersion(r.Ino, c.Handle)
	case known && r.Orphan != "" && r.Orphan != c.Parent:
		err = tx.dropOrphan(r.Orphan, c.Handle)
	}
	if err != nil {
		return err
	}
	if err := tx.setHandle(c.Handle, handleRow{Orphan: c.Parent}); err != nil {
		return err
	}
	return tx.setOrphan(c.Parent, c.Handle, c, foreign)
}

// parkKnown moves the shadow of an inode on, which stays where it is until the new parent comes.
func (tx *Tx) parkKnown(ino Ino, c *Cloud) error {
	if c.Parent == "" {
		return fmt.Errorf("a node without a parent: %w", ErrInvalid)
	}
	e, err := tx.editKnown(ino, c)
	if err != nil {
		return err
	}
	e.Epoch = tx.epoch
	if err := tx.setOrphan(c.Parent, c.Handle, nil, false); err != nil {
		return err
	}
	if e.Pending.Has(PendingRemove) {
		return tx.setShadow(e, c)
	}
	return tx.applyShown(e, c, e.Parent, false)
}

// parkCycle is for a folder that would come to lie below itself. In a full fetch, where parents may come
// late, it waits for its parent; else it is refused.
func (tx *Tx) parkCycle(ino Ino, c *Cloud, cause error) error {
	tx.t.stateMu.RLock()
	fetching := tx.t.state.fetching
	tx.t.stateMu.RUnlock()
	if !fetching {
		return cause
	}
	return tx.parkKnown(ino, c)
}

func (tx *Tx) setOrphan(parent, h megaclient.Handle, c *Cloud, foreign bool) error {
	tx.rare.orphans = true
	if err := tx.setRaw(orphanKey(parent, ""), []byte{rowFormat}); err != nil {
		return err
	}
	return tx.set(orphanKey(parent, h), orphanRow{Node: c, Epoch: tx.epoch, Foreign: foreign})
}

// unpark forgets that a node waits for the parent that its shadow names.
func (tx *Tx) unpark(c *Cloud) error {
	if c.Parent == "" || !tx.rare.orphans {
		return nil
	}
	k := orphanKey(c.Parent, c.Handle)
	ok, err := tx.row(k, nil)
	if err != nil || !ok {
		return err
	}
	return tx.del(k)
}

// dropOrphan forgets an orphan without an inode.
func (tx *Tx) dropOrphan(parent, h megaclient.Handle) error {
	if err := tx.del(orphanKey(parent, h)); err != nil {
		return err
	}
	return tx.delHandle(h)
}

func (tx *Tx) orphanAttrs(parent, h megaclient.Handle, raw string) error {
	var r orphanRow
	ok, err := tx.row(orphanKey(parent, h), &r)
	if err != nil || !ok || r.Node == nil {
		return err
	}
	tx.newAttrs(r.Node, raw)
	return tx.setOrphan(parent, h, r.Node, r.Foreign)
}

// adoptOrphans applies the orphans of the nodes that came in this transaction, and of those in turn.
func (tx *Tx) adoptOrphans() error {
	left := adoptAtOnce
	for len(tx.adopt) > 0 {
		h := tx.adopt[0]
		tx.adopt = tx.adopt[1:]
		done, err := tx.adoptSome(h, &left)
		if err != nil {
			return err
		}
		if !done {
			if err := tx.setRaw(textKey(rowAdopt, string(h)), []byte{rowFormat}); err != nil {
				return err
			}
			tx.kick = true
		}
	}
	return nil
}

// adoptSome applies orphans of one parent; done says that none is left that can be.
func (tx *Tx) adoptSome(parent megaclient.Handle, left *int) (done bool, err error) {
	if !tx.rare.orphans {
		return true, nil
	}
	if ok, err := tx.row(orphanKey(parent, ""), nil); err != nil || !ok {
		return true, err
	}
	type waiting struct {
		h megaclient.Handle
		r orphanRow
	}
	var list []waiting
	more := false
	prefix := orphanKey(parent, "")
	err = tx.scan(prefix, append(prefix, 0), func(item *badger.Item) (bool, error) {
		if len(list) >= *left {
			more = true
			return false, nil
		}
		w := waiting{h: megaclient.Handle(item.KeyCopy(nil)[len(prefix):])}
		err := item.Value(func(b []byte) error { return decodeRow(b, &w.r) })
		list = append(list, w)
		return true, err
	})
	if err != nil {
		return false, err
	}
	*left -= len(list)
	adopted, stay := 0, 0
	for _, w := range list {
		if tx.Full() {
			more = true
			break
		}
		stays, err := tx.adoptOne(parent, w.h, w.r)
		switch {
		case err != nil:
			return false, err
		case stays:
			stay++
		default:
			adopted++
		}
	}
	if !more && stay == 0 {
		err = tx.del(orphanKey(parent, ""))
	}
	return !more || stay > 0 && adopted == 0, err // the parent isn't fit for them: the others come when it is
}

// adoptOne applies one orphan. It stays if its parent is still not fit for it.
func (tx *Tx) adoptOne(parent, h megaclient.Handle, row orphanRow) (stays bool, err error) {
	c := row.Node
	if c == nil {
		r, known, err := tx.handle(h)
		if err != nil {
			return false, err
		}
		var in *Inode
		if known && !r.Version && r.Orphan == "" {
			if in, err = tx.peek(r.Ino); err != nil && !isStale(err) {
				return false, err
			}
		}
		if in == nil || in.Cloud == nil || in.Cloud.Parent != parent {
			return false, tx.del(orphanKey(parent, h))
		}
		d := *in.Cloud
		c = &d
	}
	tx.expect(2 * (&Inode{Cloud: c}).Text()) // as of a node that comes
	if err := tx.del(orphanKey(parent, h)); err != nil {
		return false, err
	}
	err = tx.apply(c, true)
	if err := tx.soften(err); err != nil {
		return false, err
	}
	stays, err = tx.row(orphanKey(parent, h), nil)
	if err == nil && row.Foreign {
		err = tx.stillForeign(h)
	}
	return stays, err
}

// stillForeign keeps in mind who put a node there that waits on.
func (tx *Tx) stillForeign(h megaclient.Handle) error {
	r, known, err := tx.handle(h)
	if err != nil || !known || r.Orphan == "" {
		return err
	}
	var row orphanRow
	if ok, err := tx.row(orphanKey(r.Orphan, h), &row); err != nil || !ok {
		return err
	}
	return tx.setOrphan(r.Orphan, h, row.Node, true)
}
