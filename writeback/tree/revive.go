package tree

// reviveParent brings a folder back that was removed here when somebody puts something new into it: it
// stays, with exactly that in it. ok is false if there is no such folder, or the node isn't new in it.
func (tx *Tx) reviveParent(c *Cloud, r handleRow, isNode bool) (parent Ino, ok bool, err error) {
	if isNode {
		in, err := tx.peek(r.Ino)
		if err != nil || in.Cloud == nil || in.Cloud.Parent == c.Parent {
			return 0, false, err
		}
	}
	p, known, err := tx.handle(c.Parent)
	if err != nil || !known || p.Orphan != "" || p.Version {
		return 0, false, err
	}
	for range maxDepth {
		var removed *Inode
		at, err := tx.climb(p.Ino, func(on *Inode) bool { removed = on; return true })
		if err != nil {
			return 0, false, err
		}
		if !at.gone {
			return p.Ino, true, nil
		}
		if removed == nil || !removed.Removed || !removed.Pending.Has(PendingRemove) {
			return 0, false, nil
		}
		if ok, err := tx.revive(removed.Ino, maxDepth); err != nil || !ok {
			return 0, false, err
		}
	}
	return 0, false, nil
}

// revive undoes the removal of a folder here, and of those around it, at most so many.
func (tx *Tx) revive(ino Ino, depth int) (bool, error) {
	defer tx.consequence()()
	if depth == 0 {
		return false, nil
	}
	e, err := tx.edit(ino)
	if err != nil {
		return false, err
	}
	parent, ok, err := tx.cloudParent(e.Cloud)
	if err != nil {
		return false, err
	}
	if !ok { // the folder around it was removed here too: that comes first
		r, known, err := tx.handle(e.Cloud.Parent)
		if err != nil || !known || r.Orphan != "" || r.Ino == ino {
			return false, err
		}
		if up, err := tx.peek(r.Ino); err != nil || !up.Pending.Has(PendingRemove) {
			return false, err
		}
		if ok, err := tx.revive(r.Ino, depth-1); err != nil || !ok {
			return false, err
		}
		parent = r.Ino
	}
	if tx.isFile(parent) {
		return false, nil
	}
	e.Pending &^= PendingRemove | PendingPlace
	tx.Note(Change{Ino: ino, Attr: true, Pending: true})
	return true, tx.placeAt(e, parent)
}
