package tree

import (
	"fmt"

	"megadisk/megaclient"

	"github.com/dgraph-io/badger/v4"
)

// maxVersions is how many older versions of one file are kept in mind, so that handing them to another
// inode fits into a transaction. Older ones are merely not known.
const maxVersions = 1500

// setShadow gives an inode another shadow and brings handles and versions in line (see SetCloud).
func (tx *Tx) setShadow(e *Inode, c *Cloud) error {
	old := e.Cloud
	if c == nil {
		return tx.loseShadow(e)
	}
	if !validHandle(c.Handle) {
		return fmt.Errorf("inode %d: a shadow without a handle: %w", e.Ino, ErrInvalid)
	}
	if old != nil && (old.Handle != c.Handle || old.Parent != c.Parent) {
		if err := tx.unpark(old); err != nil {
			return err
		}
	}
	if old != nil {
		e.settleOthers(old.Attrs, c.Attrs)
	}
	if old != nil && old.Handle == c.Handle {
		c.Versions = old.Versions
		e.Cloud = c
		return nil
	}
	if err := tx.clearLimbo(e.Ino); err != nil {
		return err
	}
	c.Versions = 0
	if old != nil {
		c.Versions = old.Versions
	}
	e.Cloud = c
	if err := tx.takeHandle(e, c.Handle); err != nil {
		return err
	}
	if old == nil {
		return nil
	}
	if e.Kind == Dir {
		return tx.delHandle(old.Handle)
	}
	return tx.addVersion(e, versionOf(old, c.Handle))
}

// takeHandle makes a handle mean an inode, whatever it meant before.
func (tx *Tx) takeHandle(e *Inode, h megaclient.Handle) error {
	r, known, err := tx.handle(h)
	if err != nil {
		return err
	}
	from, inLimbo := tx.limbo[h]
	switch {
	case known && r.Orphan != "":
		if err := tx.dropOrphan(r.Orphan, h); err != nil {
			return err
		}
	case known && r.Version:
		if err := tx.dropVersion(r.Ino, h); err != nil {
			return err
		}
	case known && r.Ino != e.Ino:
		x, err := tx.edit(r.Ino)
		if err != nil {
			return err
		}
		if err := tx.unpark(x.Cloud); err != nil {
			return err
		}
		x.Cloud = nil
		from, inLimbo = r.Ino, true
	}
	if inLimbo {
		delete(tx.limbo, h)
		if err := tx.moveVersions(from, e); err != nil {
			return err
		}
	}
	return tx.setHandle(h, handleRow{Ino: e.Ino})
}

// loseShadow takes an inode out of the cloud. Until the end of the transaction its older versions wait
// for whom the handle is given to.
func (tx *Tx) loseShadow(e *Inode) error {
	if e.Cloud == nil {
		return nil
	}
	if e.Kind == File && e.Cloud.Versions > 0 {
		tx.limbo[e.Cloud.Handle] = e.Ino
	}
	if err := tx.unpark(e.Cloud); err != nil {
		return err
	}
	h := e.Cloud.Handle
	e.Cloud = nil
	return tx.delHandle(h)
}

// clearLimbo forgets the older versions that an inode left behind; 0 means all inodes'.
func (tx *Tx) clearLimbo(ino Ino) error {
	for h, from := range tx.limbo {
		if ino != 0 && from != ino {
			continue
		}
		delete(tx.limbo, h)
		list, err := tx.Versions(from)
		if err != nil {
			return err
		}
		for _, v := range list {
			if err := tx.delVersion(from, v.Handle); err != nil {
				return err
			}
		}
	}
	return nil
}

func versionOf(c *Cloud, parent megaclient.Handle) Version {
	return Version{Handle: c.Handle, Key: c.Key, Size: c.Size, Created: c.Created, Parent: parent}
}

// Versions gives the older versions known of a file, in the order of their handles.
func (tx *Tx) Versions(ino Ino) (list []Version, err error) {
	prefix := versionKey(ino, "")
	err = tx.scan(prefix, prefix, func(item *badger.Item) (bool, error) {
		var v Version
		err := item.Value(func(b []byte) error { return decodeRow(b, &v) })
		list = append(list, v)
		return true, err
	})
	return list, err
}

// addVersion makes a handle mean an older version of a file in the cloud.
func (tx *Tx) addVersion(top *Inode, v Version) error {
	r, known, err := tx.handle(v.Handle)
	if err != nil {
		return err
	}
	if known && r.Version && r.Ino != top.Ino {
		if err := tx.dropVersion(r.Ino, v.Handle); err != nil {
			return err
		}
	}
	if known && r.Orphan != "" {
		if err := tx.dropOrphan(r.Orphan, v.Handle); err != nil {
			return err
		}
	}
	if !(known && r.Version && r.Ino == top.Ino) {
		if top.Cloud.Versions >= maxVersions {
			return tx.delHandle(v.Handle)
		}
		top.Cloud.Versions++
	}
	var old Version
	if ok, err := tx.row(versionKey(top.Ino, v.Handle), &old); err != nil {
		return err
	} else if ok && old.Key != nil {
		v.Key = old.Key // one that is known never changes
	}
	v.Epoch = tx.epoch
	if err := tx.set(versionKey(top.Ino, v.Handle), v); err != nil {
		return err
	}
	return tx.setHandle(v.Handle, handleRow{Ino: top.Ino, Version: true})
}

// dropVersion forgets one older version.
func (tx *Tx) dropVersion(top Ino, h megaclient.Handle) error {
	e, err := tx.edit(top)
	if err != nil && !isStale(err) {
		return err
	}
	if err == nil && e.Cloud != nil && e.Cloud.Versions > 0 {
		e.Cloud.Versions--
	}
	return tx.delVersion(top, h)
}

func (tx *Tx) delVersion(top Ino, h megaclient.Handle) error {
	if err := tx.del(versionKey(top, h)); err != nil {
		return err
	}
	return tx.delHandle(h)
}

// moveVersions hands the older versions of one inode to another, which is in the cloud.
func (tx *Tx) moveVersions(from Ino, to *Inode) error {
	list, err := tx.Versions(from)
	if err != nil {
		return err
	}
	for _, v := range list {
		if to.Cloud.Versions >= maxVersions {
			if err := tx.delVersion(from, v.Handle); err != nil {
				return err
			}
			continue
		}
		to.Cloud.Versions++
		if err := tx.del(versionKey(from, v.Handle)); err != nil {
			return err
		}
		if err := tx.set(versionKey(to.Ino, v.Handle), v); err != nil {
			return err
		}
		if err := tx.setHandle(v.Handle, handleRow{Ino: to.Ino, Version: true}); err != nil {
			return err
		}
	}
	return nil
}
