package tree

// applyNew applies a node whose handle was unknown.
func (tx *Tx) applyNew(c *Cloud, parent Ino) error {
	if c.Attrs != nil && c.kind() == Dir {
		if done, err := tx.merge(c, parent); done || err != nil {
			return err
		}
	}
	now := c.mtime()
	in := &Inode{Kind: c.kind(), Mtime: now, Ctime: now, Btime: c.Created * 1e9, Epoch: tx.epoch}
	if c.kind() == File {
		in.Size, in.Base = c.Size, c.base()
	}
	if err := tx.insert(in); err != nil {
		return err
	}
	if err := tx.setShadow(in, c); err != nil {
		return err
	}
	in.Parent = parent
	in.Removed = true // not placed yet
	tx.followAttrs(in, nil)
	if err := tx.placeAt(in, parent); err != nil {
		return err
	}
	in.Removed = false
	return tx.touchDir(parent)
}

// attachOwn gives our own creation its node. done is false if the inode can't be that creation.
func (tx *Tx) attachOwn(ino Ino, c *Cloud) (done bool, err error) {
	in, err := tx.peek(ino)
	if isStale(err) {
		return false, nil
	}
	if err != nil || in.Kind != c.kind() || in.Parent == 0 || in.Kind == Dir && in.Cloud != nil {
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
