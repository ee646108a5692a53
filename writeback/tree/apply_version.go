package tree

import (
	"fmt"

	"megadisk/megaclient"
)

// applyVersion applies a node whose parent is a file: it is an older version of it. When the handle was
// that of a file's newest version until now, somebody saved a new one, and the node of that (top) may
// have an inode of its own already, made when it came: then one of the two inodes goes.
func (tx *Tx) applyVersion(c *Cloud, top Ino) error {
	if c.Type != megaclient.FileNode {
		return fmt.Errorf("a folder in a file: %w", ErrInvalid)
	}
	r, known, err := tx.handle(c.Handle)
	if err != nil {
		return err
	}
	if known && !r.Version && r.Orphan == "" {
		if r.Ino == top {
			return fmt.Errorf("a file that is its own older version: %w", ErrCircular)
		}
		if top, err = tx.supersede(r.Ino, top); err != nil {
			return err
		}
	}
	e, err := tx.edit(top)
	if err != nil {
		return err
	}
	if e.Cloud == nil || e.Kind != File || e.Cloud.Handle == c.Handle {
		return fmt.Errorf("a version of nothing: %w", ErrInvalid)
	}
	if err := tx.addVersion(e, versionOf(c, c.Parent)); err != nil {
		return err
	}
	tx.adopt = append(tx.adopt, c.Handle)
	return nil
}

// supersede deals with a file (old) that got a new version whose node has another inode (fresh). It
// gives the inode that has the node from now on.
//
//	content of old pending, or nobody here has it open:
//	        old takes the new node and fresh goes; pending content keeps its base, so that whoever
//	        sends it sees that the shadow moved on
//	old open, or removed here:
//	        fresh takes the name, and what is pending of it; old is removed and keeps its bytes
func (tx *Tx) supersede(old, fresh Ino) (Ino, error) {
	o, err := tx.edit(old)
	if err != nil {
		return 0, err
	}
	f, err := tx.edit(fresh)
	if err != nil {
		return 0, err
	}
	if o.Kind != File || f.Kind != File || f.Cloud == nil {
		return 0, fmt.Errorf("a version of something else: %w", ErrInvalid)
	}
	isOpen := tx.t.opts.IsOpen
	replace := o.Pending.Has(PendingRemove) || isOpen(old) && !o.Pending.Has(PendingContent)
	if f.Pending != 0 || isOpen(fresh) {
		if !o.Pending.Has(PendingContent) {
			return fresh, tx.replaceInode(o, f, f.Pending == 0)
		}
		return fresh, tx.orphanContent(o)
	}
	if replace {
		return fresh, tx.replaceInode(o, f, true)
	}
	if tx.slots[fresh].orig != nil && fresh < old && !o.Pending.Has(PendingContent) {
		// The one that was there before keeps its number: ours, on which somebody else's version came to lie for a moment.
		return fresh, tx.replaceInode(o, f, o.Pending != 0)
	}
	return old, tx.replaceNode(o, f)
}

// replaceNode gives the new node to the old inode.
func (tx *Tx) replaceNode(o, f *Inode) error {
	c, old := *f.Cloud, o.Cloud
	quiet := tx.consequence()
	if err := tx.remove(f); err != nil {
		return err
	}
	if err := tx.setShadow(o, &c); err != nil {
		return err
	}
	quiet()
	if err := tx.forgetFresh(f); err != nil {
		return err
	}
	o.Epoch = tx.epoch
	tx.Note(Change{Dir: o.Parent, Name: o.Name, Ino: o.Ino, Attr: true, Content: !o.Pending.Has(PendingContent), Pending: o.Pending != 0})
	if !o.Pending.Has(PendingContent) {
		tx.noteLost(o, true)
		o.Base, o.Size = o.Cloud.base(), o.Cloud.Size
		o.Ctime = tx.t.opts.Now().UnixNano()
	}
	tx.followAttrs(o, old)
	if placedHere(o) {
		return nil
	}
	return tx.follow(o)
}

// forgetFresh deletes the row of an inode that this transaction made, which nobody has seen.
func (tx *Tx) forgetFresh(f *Inode) error {
	if tx.slots[f.Ino].orig != nil {
		return nil
	}
	return tx.drop(f.Ino)
}

// replaceInode gives the name to the new inode; the old one is removed, with its bytes.
func (tx *Tx) replaceInode(o, f *Inode, inherit bool) error {
	parent, name, pending := o.Parent, o.Name, o.Pending
	removed := o.Removed
	tx.noteLost(o, true)
	if err := tx.remove(o); err != nil {
		return err
	}
	if err := tx.moveVersions(o.Ino, f); err != nil {
		return err
	}
	if o.Cloud != nil {
		o.Cloud.Versions = 0
	}
	if err := tx.loseShadow(o); err != nil {
		return err
	}
	o.Pending = 0
	tx.Note(Change{Ino: o.Ino, Removed: true, Pending: pending != 0})
	if !inherit || removed {
		return nil
	}
	if pending.Has(PendingAttrs) {
		f.inherit(o)
	} else if o.ModeLocal && !f.HasMode {
		f.Mode, f.HasMode, f.ModeLocal = o.Mode, true, true
	}
	f.Btime = o.Btime
	tx.Note(Change{Ino: f.Ino, Attr: true, Pending: f.Pending != 0 || pending.Has(PendingPlace)})
	if !pending.Has(PendingPlace) {
		return nil
	}
	if err := tx.unplace(f); err != nil {
		return err
	}
	f.Pending |= PendingPlace
	return tx.setPlace(f, parent, name)
}

// inherit takes over the attributes of another inode that the cloud hasn't got yet.
func (in *Inode) inherit(o *Inode) {
	own := o.Own
	if own == 0 {
		own = OwnMtime | OwnMode
	}
	if own&OwnMtime != 0 {
		in.Mtime, in.Exact = o.Mtime, o.Exact
	}
	if own&OwnMode != 0 {
		in.Mode, in.HasMode, in.ModeLocal = o.Mode, o.HasMode, o.ModeLocal
	}
	if own&OwnXattrs != 0 {
		in.Xattrs = o.Xattrs
	}
	in.Claim(own &^ OwnLink)
	in.Others = o.Others
}

// orphanContent takes a file with pending content out of the cloud: it goes up as a new one.
func (tx *Tx) orphanContent(o *Inode) error {
	if err := tx.loseShadow(o); err != nil {
		return err
	}
	o.Pending = PendingCreate | PendingContent
	tx.Note(Change{Ino: o.Ino, Pending: true})
	return nil
}

// Adopt gives the node of one file to another that isn't in the cloud, and its place: both have the same content. The
// first one goes. Errors: ErrInvalid, ErrStale.
func (tx *Tx) Adopt(ino, from Ino) error {
	o, err := tx.edit(ino)
	if err != nil {
		return err
	}
	f, err := tx.edit(from)
	if err != nil {
		return err
	}
	if o.Kind != File || f.Kind != File || o.Cloud != nil || f.Cloud == nil || o.Removed || f.Removed {
		return fmt.Errorf("adopting a node: %w", ErrInvalid)
	}
	c := *f.Cloud
	if err := tx.remove(f); err != nil {
		return err
	}
	f.Pending = 0
	o.Pending, o.Was = 0, Place{}
	if err := tx.setShadow(o, &c); err != nil {
		return err
	}
	if own := o.Differs(c.Attrs) & o.Given(); own != 0 {
		o.Claim(own)
	}
	return tx.follow(o)
}
