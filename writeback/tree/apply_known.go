package tree

import (
	"bytes"
	"errors"
	"fmt"
	"maps"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
)

// editKnown is the row of an inode that a node is applied to, which takes from the row what it doesn't say itself.
func (tx *Tx) editKnown(ino Ino, c *Cloud) (*Inode, error) {
	in, err := tx.peek(ino)
	if err != nil {
		return nil, err
	}
	if in.Kind != c.kind() || in.Parent == 0 || in.Cloud == nil {
		return nil, fmt.Errorf("a node that became another thing: %w", ErrInvalid)
	}
	e, err := tx.edit(ino)
	if err != nil {
		return nil, err
	}
	tx.keepKnown(e.Cloud, c)
	return e, nil
}

// applyKnown applies a node that has an inode: the shadow follows always, what is shown only where
// nothing is pending.
func (tx *Tx) applyKnown(ino Ino, c *Cloud, parent Ino, own bool) error {
	e, err := tx.editKnown(ino, c)
	if err != nil {
		return err
	}
	moved := e.Cloud.Parent != c.Parent
	if moved && !own {
		if done, err := tx.binned(e, c, parent); done || err != nil {
			return err
		}
	}
	yielded := !own && tx.yieldPlace(e, c)
	if e.Kind == Dir && !placedHere(e) && !e.Removed && e.Parent != parent {
		if err := tx.breakCycle(e, parent); err != nil {
			if yielded {
				e.Pending |= PendingPlace
			}
			return tx.parkCycle(ino, c, err)
		}
	}
	if moved && own && !e.Removed && !placedHere(e) {
		if err := tx.keepRevived(e, parent); err != nil {
			return err
		}
	}
	e.Epoch = tx.epoch
	if e.Pending.Has(PendingRemove) {
		return tx.applyRemoved(e, c, parent, moved && !own)
	}
	return tx.applyShown(e, c, parent, moved)
}

// yieldPlace lets the place that somebody else gave a node win over the one that it was given here.
func (tx *Tx) yieldPlace(e *Inode, c *Cloud) bool {
	if !e.Pending.Has(PendingPlace) || e.Pending.Has(PendingCreate|PendingRemove) ||
		e.Cloud.Parent == c.Parent && (c.Attrs == nil || e.Cloud.Name == c.Name) {
		return false
	}
	e.Pending &^= PendingPlace
	tx.Note(Change{Ino: e.Ino, Pending: true})
	return true
}

// keepRevived leaves a folder where it is that we put into the bin, but whose removal was undone before that was
// heard, for something that others put into it: it is to be moved back.
func (tx *Tx) keepRevived(e *Inode, parent Ino) error {
	into, err := tx.InBin(parent)
	if err != nil || !into {
		return err
	}
	was, err := tx.InBin(e.Ino)
	if err == nil && !was {
		e.Pending |= PendingPlace
		tx.Note(Change{Ino: e.Ino, Pending: true})
	}
	return err
}

// keepOurs refuses what would make something of our own part of what somebody else shares, and so encrypt for him
// what is put there: nodes never come to be an incoming share, nor move into one.
func (tx *Tx) keepOurs(ino Ino, c *Cloud) error {
	in, err := tx.peek(ino)
	if err != nil || in.Cloud == nil || in.Cloud.Share {
		return err
	}
	from, err := tx.climb(ino, nil)
	if err != nil || from.share != nil {
		return err
	}
	if c.Share {
		c.Share, c.SharedBy, c.Access = false, "", in.Cloud.Access
	}
	r, known, err := tx.handle(c.Parent)
	if err != nil || !known || r.Orphan != "" {
		return err
	}
	to, err := tx.climb(r.Ino, nil)
	if err == nil && to.share != nil {
		err = fmt.Errorf("a node of ours in another's share: %w", ErrInvalid)
	}
	return err
}

// keepKnown carries over to the new shadow what the node as sent doesn't say. A key once known never changes: another
// one is of the server's choice.
func (tx *Tx) keepKnown(old, c *Cloud) {
	c.Link, c.Versions = old.Link, old.Versions
	if old.Key != nil {
		if c.Key != nil && !bytes.Equal(c.Key, old.Key) {
			c.Attrs, c.Name = nil, ""
		}
		c.Key, c.RawKey, c.Foreign = old.Key, "", old.Foreign
	}
	if c.Attrs == nil {
		if a, err := megaclient.DecryptAttrs(c.Type, c.Key, c.RawAttrs); err == nil {
			c.setAttrs(a)
		}
	}
	if c.Attrs == nil && old.Attrs != nil {
		c.Attrs, c.Name, c.RawAttrs = old.Attrs, old.Name, ""
	}
}

// setAttrs sets decrypted attributes, if they have a name.
func (c *Cloud) setAttrs(a megacrypto.Attributes) {
	if name, ok := (&megaclient.Node{Attrs: a}).Name(); ok {
		c.Attrs, c.Name, c.RawAttrs = a, name, ""
	}
}

// applyRemoved applies a node that was removed here. If it is in the bin now, the removal has come
// true, and the inode is shown there. If somebody moved it elsewhere, it isn't removed any more.
func (tx *Tx) applyRemoved(e *Inode, c *Cloud, parent Ino, movedByOthers bool) error {
	if err := tx.setShadow(e, c); err != nil {
		return err
	}
	p, err := tx.climb(parent, nil)
	if err != nil || p.root != BinIno && !movedByOthers {
		return err
	}
	if e.Kind == Dir {
		if err := tx.breakCycle(e, parent); err != nil {
			return tx.soften(err)
		}
	}
	if p.root == BinIno {
		e.Pending = 0
	}
	e.Pending &^= PendingRemove | PendingPlace
	tx.Note(Change{Ino: e.Ino, Attr: true, Pending: true})
	return tx.placeAt(e, parent)
}

// soften drops the error of one node only.
func (tx *Tx) soften(err error) error {
	if errors.Is(err, ErrCircular) || errors.Is(err, ErrInvalid) {
		return nil
	}
	return err
}

// applyShown applies a node whose inode is in the tree.
func (tx *Tx) applyShown(e *Inode, c *Cloud, parent Ino, moved bool) error {
	before := *e
	if err := tx.setShadow(e, c); err != nil {
		return err
	}
	tx.followContent(e)
	tx.followAttrs(e, before.Cloud)
	if before.Size != e.Size || before.Mtime != e.Mtime || before.Mode != e.Mode || before.HasMode != e.HasMode ||
		!maps.Equal(before.Xattrs, e.Xattrs) {
		e.Ctime = tx.t.opts.Now().UnixNano()
		tx.Note(Change{Ino: e.Ino, Attr: true, Content: before.Size != e.Size})
	}
	if placedHere(e) {
		if moved {
			tx.Note(Change{Ino: e.Ino, Pending: true})
		}
		return nil
	}
	from, name := e.Parent, e.Name
	if err := tx.placeAt(e, parent); err != nil {
		return err
	}
	if e.Parent == from && e.Name == name {
		return nil
	}
	if from != parent {
		if err := tx.touchDir(from); err != nil && !isStale(err) {
			return err
		}
	}
	return tx.touchDir(parent)
}

// followContent brings size and base in line with the shadow, where nothing is pending.
func (tx *Tx) followContent(e *Inode) {
	if e.Kind != File {
		return
	}
	if !e.Pending.Has(PendingContent|PendingCreate) && e.Base.Handle == e.Cloud.Handle {
		e.Base, e.Size = e.Cloud.base(), e.Cloud.Size
	}
}

// breakCycle makes it possible to move a folder to a new parent below itself, by undoing the move of
// this side's making that put the parent there. ErrCircular if there is none.
func (tx *Tx) breakCycle(in *Inode, parent Ino) error {
	for range maxDepth {
		circular, undo := false, Ino(0)
		_, err := tx.climb(parent, func(on *Inode) bool {
			if on.Ino == in.Ino {
				circular = true
				return false
			}
			if on.Cloud != nil && on.Pending.Has(PendingPlace) && !on.Pending.Has(PendingCreate) {
				undo = on.Ino
			}
			return true
		})
		if err != nil || !circular {
			return err
		}
		if undo == 0 {
			return ErrCircular
		}
		if err := tx.undoMove(undo); err != nil {
			return err
		}
	}
	return ErrCircular
}

// undoMove puts an inode that was moved here back to where the cloud has it, and before that, where it
// helps, the folder that it belongs into. ErrCircular if it can't be.
func (tx *Tx) undoMove(ino Ino) error { return tx.undoMoves(ino, 64) }

func (tx *Tx) undoMoves(ino Ino, depth int) error {
	defer tx.consequence()()
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	r, known, err := tx.handle(e.Cloud.Parent)
	if err != nil {
		return err
	}
	if !known || r.Version || r.Orphan != "" || depth == 0 {
		return ErrCircular
	}
	below, moved := false, Ino(0)
	at, err := tx.climb(r.Ino, func(on *Inode) bool {
		if below = on.Ino == ino; !below && on.Cloud != nil && on.Pending.Has(PendingPlace) && !on.Removed {
			moved = on.Ino
		}
		return !below
	})
	switch {
	case err != nil:
		return err
	case (below || at.gone) && moved != 0:
		if err := tx.undoMoves(moved, depth-1); err != nil {
			return err
		}
		return tx.undoMoves(ino, depth-1)
	case below, at.gone, tx.isFile(r.Ino):
		return ErrCircular
	case e.Removed || !e.Pending.Has(PendingPlace):
		return nil
	}
	e.Pending &^= PendingPlace
	tx.Note(Change{Ino: ino, Pending: true})
	return tx.placeAt(e, r.Ino)
}

// ApplyAttrs applies new attributes of a node, encrypted as they were sent. tag is the packet's, as in ApplyNode.
func (tx *Tx) ApplyAttrs(h megaclient.Handle, raw, tag string) error {
	r, known, err := tx.handle(h)
	if err != nil || !known || r.Version {
		return err
	}
	if len(raw) > maxNodeText {
		return fmt.Errorf("applying attributes: %w", ErrInvalid)
	}
	if r.Orphan != "" {
		return tx.orphanAttrs(r.Orphan, h, raw)
	}
	in, err := tx.peek(r.Ino)
	if err != nil {
		return err
	}
	if in.Cloud == nil || in.Parent == 0 {
		return nil
	}
	c := *in.Cloud
	tx.newAttrs(&c, raw)
	e, err := tx.edit(r.Ino)
	if err != nil {
		return err
	}
	if e.Pending.Has(PendingRemove) {
		return tx.setShadow(e, &c)
	}
	parent := e.Parent
	if (tag == "" || !tx.t.opts.OwnTag(tag)) && tx.yieldPlace(e, &c) {
		if at, ok, err := tx.cloudParent(&c); err != nil {
			return err
		} else if ok && !tx.isFile(at) && tx.breakCycle(e, at) == nil {
			parent = at
		}
	}
	return tx.applyShown(e, &c, parent, false)
}

// newAttrs replaces attributes. What can't be decrypted is kept for later, if nothing better is known.
func (tx *Tx) newAttrs(c *Cloud, raw string) {
	tx.expect(2 * len(raw))
	if c.Key != nil {
		if a, err := megaclient.DecryptAttrs(c.Type, c.Key, raw); err == nil {
			c.setAttrs(a)
		}
		return
	}
	n := c.node()
	n.RawAttrs, n.Attrs = raw, nil
	c.RawAttrs = raw
	if tx.t.opts.Decrypt(n) {
		c.Key, c.RawKey, c.Foreign = n.Key, "", n.Foreign
		c.setAttrs(n.Attrs)
	}
}

// node makes a node of a shadow, for the client.
func (c *Cloud) node() *megaclient.Node {
	return &megaclient.Node{
		Handle: c.Handle, Parent: c.Parent, Owner: c.Owner, Type: c.Type, Size: c.Size, Created: c.Created,
		Key: c.Key, RawKey: c.RawKey, Attrs: c.Attrs, RawAttrs: c.RawAttrs, FileAttrs: c.FileAttrs,
		Access: c.Access, SharedBy: c.SharedBy, ShareRoot: c.Share, Index: -1, Damaged: c.Damaged, Foreign: c.Foreign,
	}
}

// ApplyFileAttrs applies a node's new file attributes (thumbnails and the like).
func (tx *Tx) ApplyFileAttrs(h megaclient.Handle, fa string) error {
	if len(fa) > maxNodeText {
		return fmt.Errorf("applying file attributes: %w", ErrInvalid)
	}
	return tx.editCloud(h, func(c *Cloud) { c.FileAttrs = fa })
}

// ApplyLink applies that a node got a public link, or lost it.
func (tx *Tx) ApplyLink(node, public megaclient.Handle, removed bool) error {
	if removed {
		public = ""
	} else if !validHandle(public) {
		return fmt.Errorf("applying a link: %w", ErrInvalid)
	}
	return tx.editCloud(node, func(c *Cloud) { c.Link = public })
}

func (tx *Tx) editCloud(h megaclient.Handle, fn func(*Cloud)) error {
	r, known, err := tx.handle(h)
	if err != nil || !known || r.Version || r.Orphan != "" {
		return err
	}
	e, err := tx.edit(r.Ino)
	if err != nil || e.Cloud == nil {
		return err
	}
	fn(e.Cloud)
	tx.Note(Change{Ino: e.Ino, Attr: true})
	return nil
}
