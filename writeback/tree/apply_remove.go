package tree

import (
	"fmt"

	"megadisk/megaclient"
)

// ApplyRemove applies that a node is gone, with all below it. With move it is the first half of a move:
// it is only kept in mind (a row), until ApplyNode says where the node is now, or DropHalves.
func (tx *Tx) ApplyRemove(h megaclient.Handle, move bool) error {
	if !validHandle(h) {
		return fmt.Errorf("applying a removal: %w", ErrInvalid)
	}
	if move {
		tx.halves[h] = true
		return tx.setRaw(textKey(rowHalf, string(h)), []byte{rowFormat})
	}
	tx.endHalf(h)
	r, known, err := tx.handle(h)
	switch {
	case err != nil || !known:
		return err
	case r.Orphan != "":
		return tx.dropOrphan(r.Orphan, h)
	case r.Version:
		return tx.dropVersion(r.Ino, h)
	}
	e, err := tx.edit(r.Ino)
	if err != nil {
		return err
	}
	if e.Parent == 0 {
		return fmt.Errorf("removing a top folder: %w", ErrInvalid)
	}
	parent := e.Parent
	if err := tx.removeNode(e); err != nil {
		return err
	}
	if e.Removed {
		if err := tx.touchDir(parent); err != nil && !isStale(err) {
			return err
		}
	}
	return nil
}

// endHalf notes that a move is complete.
func (tx *Tx) endHalf(h megaclient.Handle) {
	if tx.MoveBegun(h) {
		tx.halves[h] = false
	}
}

// MoveBegun tells whether the first half of a node's move was heard, and not the second: ApplyRemove.
func (tx *Tx) MoveBegun(h megaclient.Handle) bool {
	heard, here := tx.halves[h]
	if !here {
		tx.t.stateMu.RLock()
		defer tx.t.stateMu.RUnlock()
		_, heard = tx.t.state.halves[h]
	}
	return heard
}

// flushHalves deletes the rows of moves that are complete.
func (tx *Tx) flushHalves() error {
	for h, heard := range tx.halves {
		if heard {
			continue
		}
		if err := tx.del(textKey(rowHalf, string(h))); err != nil {
			return err
		}
	}
	return nil
}

// DropHalves removes the nodes of moves whose second half never came: they went where we can't see. To
// be called when the event stream says that nothing is new, and once more when the transaction is Full.
func (tx *Tx) DropHalves() error {
	var list []megaclient.Handle
	tx.t.stateMu.RLock()
	for h := range tx.t.state.halves {
		list = append(list, h)
	}
	tx.t.stateMu.RUnlock()
	for h := range tx.halves {
		list = append(list, h)
	}
	for _, h := range list {
		if tx.Full() {
			return nil
		}
		if heard, here := tx.halves[h]; here && !heard {
			continue
		}
		if err := tx.soften(tx.ApplyRemove(h, false)); err != nil {
			return err
		}
	}
	return nil
}

// removeNode applies that an inode's node is gone from the cloud.
//
//	removed here too     done
//	content pending      stays, and goes up as a new file
//	a folder with something pending below it
//	                     stays, to be made anew, with exactly that in it
//	anything else        goes; of pending places and attributes nothing is kept
//
// What is in a folder is left to the sweep.
func (tx *Tx) removeNode(e *Inode) error {
	h, pending := e.Cloud.Handle, e.Pending
	keep := e.Pending.Has(PendingContent | PendingCreate)
	if e.Kind == Dir {
		var err error
		if keep, err = tx.pendingBelow(e.Ino); err != nil {
			return err
		}
		if err := tx.sweepLater(e.Ino, h); err != nil {
			return err
		}
	}
	if e.Removed || !keep {
		tx.noteLost(e, false)
		if err := tx.remove(e); err != nil {
			return err
		}
		e.Pending = 0
	} else {
		e.Pending = PendingCreate
		if e.Kind == File {
			e.Pending |= PendingContent
		}
	}
	if err := tx.loseShadow(e); err != nil {
		return err
	}
	if err := tx.clearLimbo(e.Ino); err != nil { // its versions go with it: at once, so that Full counts them
		return err
	}
	if pending != e.Pending {
		tx.Note(Change{Ino: e.Ino, Pending: true, Removed: e.Removed})
	}
	return nil
}

// pendingBelow says whether something below a folder has to go up: made or changed here, and not about
// to leave because its move here is undone.
func (tx *Tx) pendingBelow(dir Ino) (bool, error) {
	elsewhere := map[Ino]bool{} // seen, and not below
	found := false
	err := tx.eachPending(func(in *Inode) error {
		if found || in.Removed || !in.Pending.Has(PendingContent|PendingCreate) || in.Ino == dir {
			return nil
		}
		var path []*Inode
		below := false
		_, err := tx.climb(in.Ino, func(on *Inode) bool {
			below = on.Ino == dir
			if below || elsewhere[on.Ino] {
				return false
			}
			path = append(path, on)
			return true
		})
		for i := 0; i < len(path) && below && err == nil; i++ {
			var leaves bool
			if leaves, err = tx.willLeave(path[i], dir); leaves {
				below, path = false, path[:i+1]
			}
		}
		if !below {
			for _, on := range path {
				elsewhere[on.Ino] = true
			}
		}
		found = found || below
		return err
	})
	return found, err
}

// willLeave says whether an inode below a folder that is gone was only moved there: by the cloud's own
// parents it isn't in that folder.
func (tx *Tx) willLeave(in *Inode, dir Ino) (bool, error) {
	if in.Cloud == nil || !in.Pending.Has(PendingPlace) {
		return false, nil
	}
	at := in.Cloud
	for range maxDepth {
		r, known, err := tx.handle(at.Parent)
		if err != nil || !known || r.Version || r.Orphan != "" || r.Ino == dir || r.Ino == in.Ino {
			return false, err
		}
		p, err := tx.peek(r.Ino)
		if err != nil || p.Cloud == nil || p.Removed {
			return false, err
		}
		if p.Parent == 0 || p.Parent == SharesIno {
			return true, nil
		}
		at = p.Cloud
	}
	return false, nil
}

// keepFolder brings back a folder that went, for something in it that has to go up after all.
func (tx *Tx) keepFolder(ino Ino, depth int) error {
	e, err := tx.edit(ino)
	if err != nil || !e.Removed || e.Cloud != nil {
		return err
	}
	if depth == 0 {
		return fmt.Errorf("bringing folders back: %w", ErrInvalid)
	}
	if err := tx.keepFolder(e.Parent, depth-1); err != nil {
		return err
	}
	name := e.Name
	if name == "" {
		name = "folder"
	}
	holder, err := tx.entry(e.Parent, name)
	if err == nil && (holder != 0 || e.Name == "") {
		name, err = tx.ConflictName(e.Parent, name)
	}
	if err != nil {
		return err
	}
	e.Pending = PendingCreate
	tx.Note(Change{Ino: ino, Attr: true, Pending: true})
	return tx.setPlace(e, e.Parent, name)
}
