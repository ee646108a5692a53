package tree

import (
	"encoding/binary"

	"megadisk/megaclient"
)

// finish does what is left for the end of a transaction, and writes the inodes.
func (tx *Tx) finish() error {
	if err := tx.adoptOrphans(); err != nil {
		return err
	}
	if err := tx.settleNames(); err != nil {
		return err
	}
	if err := tx.clearLimbo(0); err != nil {
		return err
	}
	if err := tx.flushHalves(); err != nil {
		return err
	}
	for _, s := range tx.slots { // first, since another inode may get the same row
		if err := tx.dropDouble(s); err != nil {
			return err
		}
	}
	for ino, s := range tx.slots {
		if !s.dirty {
			continue
		}
		if err := tx.flush(ino, s); err != nil {
			return err
		}
	}
	return tx.flushMeta()
}

// flush writes an inode's row and the rows that follow from it.
func (tx *Tx) flush(ino Ino, s *slot) error {
	if err := tx.flushFlag(rowPending, ino, isPending(s.orig), isPending(s.in)); err != nil {
		return err
	}
	if err := tx.flushFlag(rowGrave, ino, isGrave(s.orig), isGrave(s.in)); err != nil {
		return err
	}
	if err := tx.flushNameless(s); err != nil {
		return err
	}
	if err := tx.addDouble(s); err != nil {
		return err
	}
	switch {
	case s.in != nil:
		return tx.set(inoKey(rowInode, ino), s.in)
	case s.orig != nil:
		return tx.del(inoKey(rowInode, ino))
	}
	return nil
}

func isPending(in *Inode) bool { return in != nil && in.Pending != 0 }
func isGrave(in *Inode) bool   { return in != nil && in.Removed }

func (tx *Tx) flushFlag(prefix byte, ino Ino, was, is bool) error {
	switch {
	case is && !was:
		return tx.setRaw(inoKey(prefix, ino), []byte{rowFormat})
	case was && !is:
		return tx.del(inoKey(prefix, ino))
	}
	return nil
}

func (tx *Tx) flushNameless(s *slot) error {
	was, is := s.orig != nil && isNameless(s.orig), s.in != nil && isNameless(s.in)
	if was && !(is && s.in.Parent == s.orig.Parent) {
		if err := tx.del(namelessKey(s.orig.Parent, s.orig.Ino)); err != nil {
			return err
		}
	}
	if is && !(was && s.in.Parent == s.orig.Parent) {
		return tx.setRaw(namelessKey(s.in.Parent, s.in.Ino), []byte{rowFormat})
	}
	return nil
}

// doubleID names an inode's row as a double.
type doubleID struct {
	entryID
	handle megaclient.Handle
}

func doubleIDOf(in *Inode) (id doubleID, ok bool) {
	if in == nil || !isDouble(in) {
		return id, false
	}
	return doubleID{entryID{in.Parent, Shown(in.Cloud.Name)}, in.Cloud.Handle}, true
}

// dropDouble deletes the row of an inode that is no longer the same double.
func (tx *Tx) dropDouble(s *slot) error {
	old, was := doubleIDOf(s.orig)
	now, is := doubleIDOf(s.in)
	if !s.dirty || !was || is && old == now {
		return nil
	}
	if err := tx.del(doubleKey(old.dir, old.name, old.handle)); err != nil {
		return err
	}
	return tx.countDoubles(old.entryID, -1)
}

// addDouble writes the row of an inode that is a double, or is another one now.
func (tx *Tx) addDouble(s *slot) error {
	old, was := doubleIDOf(s.orig)
	now, is := doubleIDOf(s.in)
	if !is || was && old == now {
		return nil
	}
	tx.rare.doubles = true
	if err := tx.set(doubleKey(now.dir, now.name, now.handle), doubleRow{Ino: s.in.Ino}); err != nil {
		return err
	}
	return tx.countDoubles(now.entryID, 1)
}

func (tx *Tx) countDoubles(id entryID, by int) error {
	k := doubleKey(id.dir, id.name, "")
	var r countRow
	if _, err := tx.row(k, &r); err != nil {
		return err
	}
	if r.Count += by; r.Count <= 0 {
		return tx.del(k)
	}
	return tx.set(k, r)
}

// publishLocked brings what the tree keeps in memory in line with what was committed. It needs stateMu.
func (tx *Tx) publishLocked() {
	st := &tx.t.state
	st.next, st.epoch, st.fetched, st.sn, st.rare = tx.next, tx.epoch, tx.fetched, tx.sn, tx.rare
	for h, k := range tx.shareKeys {
		st.shareKeys[h] = k
		delete(st.unmarked, h)
	}
	for h, heard := range tx.halves {
		if heard {
			st.halves[h] = struct{}{}
		} else {
			delete(st.halves, h)
		}
	}
	for ino, s := range tx.slots {
		switch {
		case s.dirty && isPending(s.in):
			st.pending[ino] = struct{}{}
		case s.dirty:
			delete(st.pending, ino)
		}
	}
}

func bigEndian(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
