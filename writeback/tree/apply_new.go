package tree

import "fmt"

// applyNew applies a node whose handle was unknown.
func (tx *Tx) applyNew(c *Cloud, parent Ino) error {
	if c.Attrs != nil && c.kind() == Dir {
		if done, err := tx.merge(c, parent); done || err != nil {
			return err
		}
	}
	in, err := tx.newInode(c)
	if err != nil {
		return err
	}
	return tx.placeNew(in, parent)
}

// newInode makes an inode of a node, without a place.
func (tx *Tx) newInode(c *Cloud) (*Inode, error) {
	now := c.mtime()
	in := &Inode{Kind: c.kind(), Mtime: now, Ctime: now, Btime: c.Created * 1e9, Epoch: tx.epoch}
	if c.kind() == File {
		in.Size, in.Base = c.Size, c.base()
	}
	if err := tx.insert(in); err != nil {
		return nil, err
	}
	return in, tx.setShadow(in, c)
}

func (tx *Tx) placeNew(in *Inode, parent Ino) error {
	in.Parent = parent
	in.Removed = true // not placed yet
	tx.followAttrs(in, nil)
	if err := tx.placeAt(in, parent); err != nil {
		return err
	}
	in.Removed = false
	return tx.touchDir(parent)
}

// Part gives a file its own node, and the one that it had meanwhile, with the older versions of that, to an inode of its
// own: as far as is known, they lie beside one another in the cloud.
func (tx *Tx) Part(ino Ino, c *Cloud) error {
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	if e.Cloud == nil || e.Kind != File || c.kind() != File || c.Handle == e.Cloud.Handle {
		return fmt.Errorf("parting nodes: %w", ErrInvalid)
	}
	other := *e.Cloud
	parent, ok, err := tx.cloudParent(&other)
	if err != nil {
		return err
	}
	if !ok || tx.isFile(parent) {
		return tx.setShadow(e, c)
	}
	in, err := tx.newInode(&other)
	if err != nil {
		return err
	}
	if err := tx.setShadow(e, c); err != nil {
		return err
	}
	return tx.placeNew(in, parent)
}

// attachOwn gives our own creation its node. done is false if the inode can't be that creation, or has a newer version
// already and is told of ours as an older one.
func (tx *Tx) attachOwn(ino Ino, c *Cloud, older bool) (done bool, err error) {
	in, err := tx.peek(ino)
	if isStale(err) {
		return false, nil
	}
	if err != nil || in.Kind != c.kind() || in.Parent == 0 || in.Cloud != nil && (in.Kind == Dir || older) {
		return false, err
	}
	e, err := tx.edit(ino)
	if err != nil {
		return false, err
	}
	if e.Removed {
		e.Pending |= PendingRemove
		tx.Note(Change{Ino: ino, Pending: true})
	}
	e.Epoch = tx.epoch
	tx.adopt = append(tx.adopt, c.Handle)
	if err := tx.setShadow(e, c); err != nil || e.Removed || placedHere(e) {
		return true, err
	}
	return true, tx.follow(e) // a new version may have less right to the name
}

// merge gives the node of a folder to a folder of the same name that was made here.
func (tx *Tx) merge(c *Cloud, parent Ino) (done bool, err error) {
	ino, err := tx.entry(parent, Shown(c.Name))
	if err != nil || ino == 0 {
		return false, err
	}
	if in, err := tx.peek(ino); err != nil || in.Kind != Dir || in.Cloud != nil {
		return false, err
	}
	e, err := tx.edit(ino)
	if err != nil {
		return false, err
	}
	e.Pending &^= PendingCreate | PendingPlace
	e.Epoch = tx.epoch
	tx.contested[entryID{parent, e.Name}] = struct{}{}
	tx.Note(Change{Ino: ino, Attr: true, Pending: true})
	if err := tx.setShadow(e, c); err != nil {
		return true, err
	}
	if own := e.Differs(c.Attrs) & e.Given(); own != 0 {
		e.Claim(own)
	}
	tx.followAttrs(e, nil)
	return true, nil
}

// touchDir gives a folder a new mtime, unless the tree is being fetched for the first time.
func (tx *Tx) touchDir(ino Ino) error {
	if !tx.fetched {
		return nil
	}
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	e.Mtime, e.Exact = tx.t.opts.Now().UnixNano(), false
	e.Ctime = e.Mtime
	return nil
}
