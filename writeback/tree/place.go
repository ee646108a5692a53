package tree

import (
	"fmt"
)

// Where an inode stands is either its own decision (placedHere: it isn't in the cloud, or was moved
// here) or the cloud's. Names in the cloud need not be unique, here they must be. A name belongs to
// the oldest of the cloud's nodes that want it (then the lower handle); the others, the *doubles*, are
// shown under another one (doubles.go). An inode placed here keeps its name against
// no node of the cloud: it gets a conflict name.
//
// During a transaction names are given first come, first served, by the order of what is known; at its
// end each contested name is settled once more, with all who want it.

// placedHere says whether the inode's place is not the cloud's.
func placedHere(in *Inode) bool {
	return in.Cloud == nil || in.Pending.Has(PendingCreate|PendingPlace)
}

// older says whether a has the better right to a name than b.
func older(a, b *Cloud) bool {
	if a.Created != b.Created {
		return a.Created < b.Created
	}
	return a.Handle < b.Handle
}

// unplace takes an inode's entry away; the caller gives it another place or removes it.
func (tx *Tx) unplace(e *Inode) error {
	if e.Removed || e.Parent == 0 || e.Name == "" {
		return nil
	}
	holder, err := tx.entry(e.Parent, e.Name)
	if err != nil || holder != e.Ino {
		return err
	}
	tx.contested[entryID{e.Parent, e.Name}] = struct{}{}
	if err := tx.setEntry(e.Parent, e.Name, 0, 0); err != nil {
		return err
	}
	tx.Note(Change{Dir: e.Parent, Name: e.Name, Ino: e.Ino})
	return nil
}

// setPlace gives an inode a free entry; "" is no entry at all, for a node whose name is unknown.
func (tx *Tx) setPlace(e *Inode, parent Ino, name string) error {
	e.Parent, e.Name, e.Removed = parent, name, false
	if parent == BinIno {
		e.Ctime = tx.t.opts.Now().UnixNano() // since when it is in the bin, as far as we heard
	}
	if name == "" {
		return nil
	}
	tx.Note(Change{Dir: parent, Name: name, Ino: e.Ino})
	return tx.setEntry(parent, name, e.Ino, e.Kind)
}

// follow puts an inode where the cloud has it, if that folder is known and alive; else it stays.
func (tx *Tx) follow(e *Inode) error {
	if e.Parent == 0 {
		return nil
	}
	parent, ok, err := tx.cloudParent(e.Cloud)
	if err != nil {
		return err
	}
	if !ok || tx.isFile(parent) {
		return tx.followNowhere(e)
	}
	if e.Kind == Dir {
		if err := tx.breakCycle(e, parent); err != nil {
			return err
		}
	}
	return tx.placeAt(e, parent)
}

// followNowhere deals with an inode whose folder isn't known: what is shown stays where it is, what was
// removed here becomes an orphan.
func (tx *Tx) followNowhere(e *Inode) error {
	c := *e.Cloud
	if !e.Removed {
		if !validHandle(c.Parent) {
			return nil
		}
		return tx.setOrphan(c.Parent, c.Handle, nil, false)
	}
	if err := tx.loseShadow(e); err != nil || !validHandle(c.Parent) {
		return err
	}
	return tx.park(&c, false)
}

// placeAt puts an inode into a folder under the name that the cloud gives it.
func (tx *Tx) placeAt(e *Inode, parent Ino) error {
	if parent == BinIno && !e.Removed {
		tx.noteTrashed(e)
	}
	if e.Cloud.Attrs == nil {
		if err := tx.unplace(e); err != nil {
			return err
		}
		return tx.setPlace(e, parent, "")
	}
	wanted := Shown(e.Cloud.Name)
	if !e.Removed && e.Parent == parent && e.Name == wanted {
		tx.contested[entryID{parent, wanted}] = struct{}{} // its right to it may be less than before
		return nil
	}
	if !e.Removed && e.Parent == parent && isDouble(e) && doubleRank(e.Name, wanted, e.Cloud.Handle) != 0 {
		tx.contest(e, parent, wanted)
		return nil
	}
	if err := tx.unplace(e); err != nil {
		return err
	}
	e.Removed = false
	return tx.claim(e, parent, wanted)
}

// claim gives an inode that has no entry the one it wants, if it has the best right to it.
func (tx *Tx) claim(e *Inode, parent Ino, wanted string) error {
	tx.contested[entryID{parent, wanted}] = struct{}{}
	ino, err := tx.entry(parent, wanted)
	if err != nil {
		return err
	}
	if ino != 0 && ino != e.Ino {
		holder, err := tx.peek(ino)
		if err != nil {
			return err
		}
		if !placedHere(holder) && Shown(holder.Cloud.Name) == wanted && older(holder.Cloud, e.Cloud) {
			return tx.placeDouble(e, parent, wanted, wanted)
		}
		if err := tx.giveWay(ino, wanted); err != nil {
			return err
		}
	}
	return tx.setPlace(e, parent, wanted)
}

// giveWay takes the entry that somebody else has a better right to from an inode, and gives it another.
func (tx *Tx) giveWay(ino Ino, name string) error {
	defer tx.consequence()()
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	parent := e.Parent
	if err := tx.unplace(e); err != nil {
		return err
	}
	if !placedHere(e) {
		return tx.placeDouble(e, parent, Shown(e.Cloud.Name), name)
	}
	other, err := tx.ConflictName(parent, name)
	if err != nil {
		return err
	}
	if e.Cloud != nil {
		e.Pending |= PendingPlace
	} else {
		e.Was = Place{parent, name}
	}
	tx.Note(Change{Ino: e.Ino, Pending: true, Conflict: name})
	return tx.setPlace(e, parent, other)
}

// Consequence has what fn changes reported as nobody's own: a program whose call is under way doesn't know of it.
func (tx *Tx) Consequence(fn func() error) error {
	defer tx.consequence()()
	return fn()
}

// consequence makes changes be reported as nobody's own until the function that it returns is called.
func (tx *Tx) consequence() (end func()) {
	before := tx.quiet
	tx.quiet = true
	return func() { tx.quiet = before }
}

const conflictLetters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// ConflictName gives a free name in a folder for what loses a conflict about name:
// `NAME (conflict YYYY-MM-DD HOST-XXXX).EXT`, at most MaxName bytes.
func (tx *Tx) ConflictName(parent Ino, name string) (string, error) {
	host := Shown(cut(tx.t.opts.Host, 64))
	day := tx.t.opts.Now().Format("2006-01-02")
	for range 100 {
		var draw [4]byte
		tx.t.draw(draw[:])
		for i := range draw {
			draw[i] = conflictLetters[int(draw[i])%len(conflictLetters)]
		}
		other := withSuffix(name, fmt.Sprintf(" (conflict %s %s-%s)", day, host, draw[:]))
		ino, err := tx.entry(parent, other)
		if err != nil || ino == 0 {
			return other, err
		}
	}
	return "", fmt.Errorf("finding a conflict name: %w", ErrExist)
}
