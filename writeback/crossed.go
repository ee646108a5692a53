package writeback

import (
	"slices"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// Our commands and somebody else's cross on the way: the server carried theirs out first, and the stream tells it
// after our answer. What is to be said about the one side is said about a node that the other has made an older
// version, or has put into the bin.

// staysOut tells whether a node in a packet of ours must not be in the bin, should it turn out to be there: we made
// it or moved it, or others put it where we removed a folder. along: it is in the packet for the folder that it lies in,
// and if it is in the bin already, it came there with that.
func (c *change) staysOut(n *megaclient.Node, tag string, along bool) bool {
	if n.Version || !c.e.ownTag(tag) || c.e.flight.moves(itemTrash, n.Handle) { // of that the packet may come more than once
		return false
	}
	if c.IsStray(n.Handle) {
		return true
	}
	ino, known := c.ByHandle(n.Handle)
	if _, older := c.IsVersion(n.Handle); !known || older {
		return false
	}
	in, err := c.Get(ino)
	if err != nil || in.Removed {
		return false
	}
	if along {
		above, err := c.ancestors(ino)
		return err == nil && !slices.Contains(above, tree.BinIno)
	}
	return true
}

// overtakenVersion deals with a packet about a node that became an older version in the meantime. done: nothing else
// is to be applied. What is said about a version as if it were a file of its own is older than what lies on it: the
// late packet of an earlier save, or one that is told again. Taken at its word, it would show the old content under
// the name, and the new one beside it.
//
// Only until the packet has come that put the newer version on it, though. Whoever moves an older version, not knowing
// that it is one, takes it out from below the newer: what is said afterwards is said about a file of its own. moved: it
// was us.
func (c *change) overtakenVersion(n *megaclient.Node, tag string, moved bool) (done bool, err error) {
	if n.Version {
		if c.e.ownTag(tag) {
			_, here := c.ByHandle(n.Handle)
			_, above := c.ByHandle(n.Parent)
			return !here && !above, nil // the file was removed since
		}
		return c.overlaid(n)
	}
	ino, is := c.IsVersion(n.Handle)
	if !is {
		return false, nil
	}
	in, err := c.Get(ino)
	if err != nil || in.Cloud == nil {
		return false, err
	}
	older, err := c.olderVersion(ino, n.Handle)
	if err != nil {
		return false, err
	}
	if !c.creationAwaited(older.Parent) {
		return in.Cloud.Parent == n.Parent && !moved && !c.MoveBegun(n.Handle), nil
	}
	if c.e.ownTag(tag) {
		return true, nil
	}
	// It was moved before our version came to lie on it: so ours is to follow.
	name, _ := n.Name()
	return true, c.followBase(in, n.Parent, name)
}

// olderVersion gives what is known of an older version of a file: the zero Version if that isn't one.
func (c *change) olderVersion(ino tree.Ino, h megaclient.Handle) (tree.Version, error) {
	list, err := c.Versions(ino)
	for _, v := range list {
		if v.Handle == h {
			return v, nil
		}
	}
	return tree.Version{}, err
}

// creationAwaited tells whether the packet of the command that made a node is still to come: it is the only one that
// stands for place and attributes both.
func (c *change) creationAwaited(h megaclient.Handle) bool {
	for id := range c.e.echoes[h] {
		if id.field == fieldPlace && c.expects(id) && c.expects(echoID{h, fieldAttrs, id.tag}) {
			return true
		}
	}
	return false
}

// overlaid applies that a node became an older version. What we sent to it before that was heard is not in the newer
// one, so it is pending again.
func (c *change) overlaid(n *megaclient.Node) (done bool, err error) {
	ino, known := c.ByHandle(n.Handle)
	if !known || !c.awaited(n.Handle, fieldAttrs) && !c.awaited(n.Handle, fieldPlace) {
		return false, nil
	}
	sent, err := c.Get(ino)
	if err != nil || sent.Removed || sent.Cloud == nil || sent.Cloud.Handle != n.Handle {
		return false, err
	}
	if err := c.ApplyNode(n, ""); err != nil {
		return true, err
	}
	if ino, known = c.IsVersion(n.Handle); !known {
		return true, nil
	}
	in, err := c.Get(ino)
	if err != nil || in.Removed || in.Cloud == nil {
		return true, err
	}
	if own := sent.Differs(in.Cloud.Attrs) & sent.Given() &^ tree.OwnMtime; own != 0 {
		in.Mode, in.HasMode, in.ModeLocal, in.Xattrs = sent.Mode, sent.HasMode, sent.ModeLocal, sent.Xattrs
		in.Claim(own)
		if err := c.Put(&in); err != nil {
			return true, err
		}
		if err := c.touch(ino, nil); err != nil {
			return true, err
		}
	}
	return true, c.followBase(in, sent.Cloud.Parent, sent.Cloud.Name)
}

// followBase gives a file the place that somebody gave its base before ours came to lie on it.
func (c *change) followBase(in tree.Inode, parent megaclient.Handle, name string) error {
	if in.Removed || in.Pending.Has(tree.PendingPlace) || name == "" {
		return nil
	}
	dir, known := c.ByHandle(parent)
	if !known || in.Cloud.Parent == parent && in.Cloud.Name == name {
		return nil
	}
	if above, err := c.ancestors(dir); err != nil || slices.Contains(above, tree.BinIno) {
		return err // what others have saved isn't thrown away
	}
	as := tree.Shown(name)
	if there, err := c.Lookup(dir, as); err == nil && there.Ino != in.Ino {
		if as, err = c.ConflictName(dir, as); err != nil {
			return err
		}
	}
	if err := c.Move(in.Ino, dir, as); err != nil {
		return nil // not a place for it: it stays
	}
	return c.pendPlace(in.Ino)
}

// unfollow is the end of followBase if the older version has been taken out from below a file, to the place that the
// file was to follow to: each stays where it is in the cloud.
func (c *change) unfollow(ino tree.Ino, n *megaclient.Node) error {
	in, err := c.Get(ino)
	if err != nil || in.Removed || in.Cloud == nil || !in.Pending.Has(tree.PendingPlace) {
		return err
	}
	dir, known := c.ByHandle(n.Parent)
	name, _ := n.Name()
	if !known || in.Parent != dir || in.Name != tree.Shown(name) {
		return nil
	}
	in.Pending &^= tree.PendingPlace
	if err := c.Put(&in); err != nil {
		return err
	}
	if err := c.touch(ino, nil); err != nil { // it may differ in nothing now, which the planner sees
		return err
	}
	return c.ApplyNode(nodeOf(in.Cloud), "")
}

func (c *change) pendPlace(ino tree.Ino) error {
	in, err := c.Get(ino)
	if err != nil {
		return err
	}
	in.Pending |= tree.PendingPlace
	if err := c.Put(&in); err != nil {
		return err
	}
	return c.touch(ino, nil)
}

// overtakenAttrs is overtakenVersion for attributes, of which the name counts.
func (c *change) overtakenAttrs(p *megaclient.AttrsPacket) (done bool, err error) {
	ino, is := c.IsVersion(p.Node)
	if !is || c.e.ownTag(p.PacketTag()) {
		return false, nil
	}
	in, err := c.Get(ino)
	if err != nil || in.Cloud == nil {
		return false, err
	}
	v, err := c.olderVersion(ino, p.Node)
	if err != nil || !c.creationAwaited(v.Parent) {
		return false, err
	}
	attrs, err := megaclient.DecryptAttrs(megaclient.FileNode, v.Key, p.RawAttrs)
	if err != nil {
		return true, nil
	}
	if in.Cloud.Handle == v.Parent {
		return true, c.oweHeld(ino, attrs)
	}
	name, _ := attrs.String("n")
	return true, c.followBase(in, in.Cloud.Parent, name)
}
