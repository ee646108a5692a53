package tree

import (
	"fmt"
	"slices"
)

// The operations of programs. Each checks what the tree alone can know: that names are free and valid,
// that folders are folders, and what a share's access level forbids (access.go). Pending bits are the
// caller's to set, by Put; only what follows by itself is set here.

// folder gives a folder to which entries may be added.
func (tx *Tx) folder(ino Ino) (*Inode, error) {
	p, err := tx.peek(ino)
	switch {
	case err != nil:
		return nil, err
	case p.Kind != Dir:
		return nil, fmt.Errorf("inode %d: %w", ino, ErrNotDir)
	case p.Removed:
		return nil, fmt.Errorf("inode %d was removed: %w", ino, ErrNotFound)
	}
	return p, nil
}

// target checks that an entry can be made.
func (tx *Tx) target(parent Ino, name string) error {
	if err := ValidName(name); err != nil {
		return err
	}
	if _, err := tx.folder(parent); err != nil {
		return err
	}
	ino, err := tx.entry(parent, name)
	if err == nil && ino != 0 {
		err = ErrExist
	}
	return err
}

// Create adds an inode: Kind, Parent, Name and whatever else the caller sets in it, but for Ino, which
// it gets here. Without a Cloud it is PendingCreate. Errors: ErrExist, ErrNotDir, ErrNotFound (a removed
// folder), ErrStale, ErrNameTooLong, ErrInvalid, and those of MayCreate.
func (tx *Tx) Create(in *Inode) error {
	if in.Kind != File && in.Kind != Dir || in.Cloud != nil && in.Cloud.Handle != "" {
		return fmt.Errorf("creating an inode: %w", ErrInvalid)
	}
	if err := tx.target(in.Parent, in.Name); err != nil {
		return err
	}
	if err := tx.MayCreate(in.Parent); err != nil {
		return err
	}
	now := tx.t.opts.Now().UnixNano()
	for _, at := range []*int64{&in.Mtime, &in.Ctime, &in.Btime} {
		if *at == 0 {
			*at = now
		}
	}
	in.Pending |= PendingCreate
	in.Removed, in.Cloud = false, nil
	n := *in
	if err := tx.insert(&n); err != nil {
		return err
	}
	in.Ino = n.Ino
	return tx.setPlace(&n, n.Parent, n.Name)
}

// Put writes an inode back that Get gave: everything but its place (Parent, Name, Removed), which must
// be as it was. When it clears PendingCreate, PendingPlace or PendingRemove of an inode that is in the
// cloud, the inode goes to the place that the cloud gives it. Errors: ErrStale, ErrInvalid.
func (tx *Tx) Put(in *Inode) error {
	now, err := tx.peek(in.Ino)
	if err != nil {
		return err
	}
	if in.Parent != now.Parent || in.Name != now.Name || in.Removed != now.Removed || in.Kind != now.Kind {
		return fmt.Errorf("inode %d: Put can't change its place: %w", in.Ino, ErrInvalid)
	}
	old := *now
	e, err := tx.edit(in.Ino)
	if err != nil {
		return err
	}
	cloud := e.Cloud
	*e = *in
	e.Cloud = cloud
	if in.Cloud != nil {
		c := *in.Cloud
		err = tx.setShadow(e, &c)
	} else if cloud != nil {
		err = tx.setShadow(e, nil)
	}
	if err != nil {
		return err
	}
	if !e.Pending.Has(PendingAttrs) {
		e.Own, e.Others = 0, nil
	}
	if old.Mode != e.Mode || old.HasMode != e.HasMode || old.Size != e.Size || old.Mtime != e.Mtime || old.Ctime != e.Ctime || old.Atime != e.Atime {
		tx.Note(Change{Ino: e.Ino, Attr: true})
	}
	if e.Cloud == nil || e.Pending.Has(PendingCreate|PendingPlace|PendingRemove) {
		return nil
	}
	if old.Pending.Has(PendingCreate|PendingPlace|PendingRemove) || old.Cloud == nil || !samePlace(old.Cloud, e.Cloud) {
		return tx.follow(e)
	}
	return nil
}

// samePlace says whether two shadows give the same place and right to it.
func samePlace(a, b *Cloud) bool {
	return a.Handle == b.Handle && a.Parent == b.Parent && a.Name == b.Name && a.Created == b.Created
}

// Move gives an inode another entry, which must be free; a removed one comes back. Errors: those of
// Create and of MayMove.
func (tx *Tx) Move(ino, parent Ino, name string) error {
	in, err := tx.peek(ino)
	if err != nil {
		return err
	}
	if !in.Removed && in.Parent == parent && in.Name == name {
		return nil
	}
	if err := tx.target(parent, name); err != nil {
		return err
	}
	if err := tx.MayMove(ino, parent); err != nil {
		return err
	}
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	if err := tx.unplace(e); err != nil {
		return err
	}
	e.Pending &^= PendingRemove
	e.Was = Place{}
	return tx.setPlace(e, parent, name)
}

// Exchange gives each of two inodes the entry of the other. Errors: those of Move.
func (tx *Tx) Exchange(a, b Ino) error {
	x, err := tx.peek(a)
	if err != nil {
		return err
	}
	y, err := tx.peek(b)
	if err != nil {
		return err
	}
	if x.Removed || y.Removed {
		return fmt.Errorf("exchanging a removed inode: %w", ErrNotFound)
	}
	if a == b {
		return nil
	}
	if err := tx.MayMove(a, y.Parent); err != nil {
		return err
	}
	if err := tx.MayMove(b, x.Parent); err != nil {
		return err
	}
	ea, err := tx.edit(a)
	if err != nil {
		return err
	}
	eb, err := tx.edit(b)
	if err != nil {
		return err
	}
	parentA, nameA, parentB, nameB := ea.Parent, ea.Name, eb.Parent, eb.Name
	if err := tx.unplace(ea); err != nil {
		return err
	}
	if err := tx.unplace(eb); err != nil {
		return err
	}
	if err := tx.setPlace(ea, parentB, nameB); err != nil {
		return err
	}
	return tx.setPlace(eb, parentA, nameA)
}

// Unlink takes an inode's entry away. Removed is set, Parent and Name stay for the record; if it is in
// the cloud it is PendingRemove. A folder should be empty (IsEmptyDir): that is the caller's to ask.
// Errors: ErrStale, ErrNotFound (removed already), and those of MayRemove.
func (tx *Tx) Unlink(ino Ino) error {
	in, err := tx.peek(ino)
	if err != nil {
		return err
	}
	if in.Removed {
		return fmt.Errorf("inode %d: %w", ino, ErrNotFound)
	}
	if err := tx.MayRemove(ino); err != nil {
		return err
	}
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	if e.Cloud != nil {
		e.Pending |= PendingRemove
	}
	return tx.remove(e)
}

// remove takes an inode out of the tree; its row stays.
func (tx *Tx) remove(e *Inode) error {
	if e.Removed {
		return nil
	}
	if err := tx.unplace(e); err != nil {
		return err
	}
	e.Removed = true
	e.Ctime = tx.t.opts.Now().UnixNano()
	tx.Note(Change{Dir: e.Parent, Name: e.Name, Ino: e.Ino, Removed: true})
	return nil
}

// Purge deletes a removed inode's row, which nothing may need any more. Errors: ErrStale, ErrInvalid
// (it isn't removed, or is in the cloud).
func (tx *Tx) Purge(ino Ino) error {
	in, err := tx.peek(ino)
	if err != nil {
		return err
	}
	if !in.Removed || in.Cloud != nil {
		return fmt.Errorf("inode %d is still in use: %w", ino, ErrInvalid)
	}
	return tx.drop(ino)
}

// SetCloud sets an inode's shadow, and which inode its handle means. If that was another inode, that one
// loses its shadow and its older versions come along; if a file had another handle, the old node becomes
// an older version. nil takes the shadow away; a handle given to another inode in the same transaction
// still takes its older versions along. Errors: ErrStale, ErrInvalid.
func (tx *Tx) SetCloud(ino Ino, c *Cloud) error {
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	if c != nil {
		d := *c
		c = &d
		e.Epoch = tx.epoch
	}
	if err := tx.setShadow(e, c); err != nil {
		return err
	}
	if c == nil || e.Pending.Has(PendingCreate|PendingPlace|PendingRemove) {
		return nil
	}
	return tx.follow(e)
}

// PendingInos gives the inodes with a Pending bit, in the order of their numbers.
func (tx *Tx) PendingInos() []Ino {
	var list []Ino
	tx.eachPending(func(in *Inode) error { list = append(list, in.Ino); return nil })
	return list
}

// eachPending calls fn with the inodes that have a Pending bit now, in the order of their numbers.
func (tx *Tx) eachPending(fn func(*Inode) error) error {
	tx.t.stateMu.RLock()
	inos := make([]Ino, 0, len(tx.t.state.pending))
	for ino := range tx.t.state.pending {
		inos = append(inos, ino)
	}
	tx.t.stateMu.RUnlock()
	for ino, s := range tx.slots {
		if s.dirty && (s.orig == nil || s.orig.Pending == 0) {
			inos = append(inos, ino)
		}
	}
	slices.Sort(inos)
	for _, ino := range inos {
		in, err := tx.peek(ino)
		if isStale(err) || err == nil && in.Pending == 0 {
			continue
		}
		if err == nil {
			err = fn(in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
