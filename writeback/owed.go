package writeback

import (
	"bytes"
	"slices"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// A command sets all of a node's attributes. So ours takes away what somebody else has set if it was sent before that
// was heard. What is lost so is owed to him: it is sent again with what changes here next, or by itself. Whose command
// the server carried out last sees it (his own packet comes after the other's), and the other one doesn't, so that two
// who cross don't repair each other's repairs.

// fieldsSent lists the attributes of a node that are ours to say, until our packets have come; none if that isn't known.
func (c *change) fieldsSent(h megaclient.Handle) (set []string) {
	for id, row := range c.e.echoes[h] {
		if id.field == fieldAttrs && !c.ended[id] {
			if len(row.Set) == 0 {
				return nil // an earlier program has sent it
			}
			set = append(set, row.Set...)
		}
	}
	if c.e.flight == nil {
		return set
	}
	for _, it := range c.e.flight.Items {
		if it.Kind == itemAttrs && it.Handle == h {
			set = append(set, it.Set...)
		}
	}
	return set
}

// heldAttrs deals with attributes that are held off.
func (c *change) heldAttrs(p *megaclient.AttrsPacket) error {
	ino, known := c.ByHandle(p.Node)
	if !known || c.e.ownTag(p.PacketTag()) {
		return nil
	}
	in, err := c.Get(ino)
	if err != nil || in.Cloud == nil || in.Cloud.Handle != p.Node {
		return err
	}
	theirs, err := megaclient.DecryptAttrs(in.Cloud.Type, in.Cloud.Key, p.RawAttrs)
	if err != nil {
		return nil // as what can't be read is treated everywhere: it isn't known
	}
	return c.oweHeld(ino, theirs)
}

// oweHeld deals with attributes that somebody set before ours, which the cloud has since: of a file, or of the version
// that ours came to lie on.
func (c *change) oweHeld(ino tree.Ino, theirs megacrypto.Attributes) error {
	in, err := c.Get(ino)
	if err != nil || in.Cloud == nil {
		return err
	}
	return c.owe(ino, theirs, c.fieldsSent(in.Cloud.Handle), true)
}

// owe compares what others had set of a node with what the cloud has now, which ours set some fields of. all: nothing
// else is owed.
func (c *change) owe(ino tree.Ino, theirs megacrypto.Attributes, set []string, all bool) error {
	in, err := c.Get(ino)
	if err != nil || in.Removed || in.Cloud == nil || in.Cloud.Attrs == nil || theirs == nil || len(set) == 0 {
		return err
	}
	if lost := tree.LostFields(theirs, in.Cloud.Attrs, set); all || len(lost) > 0 {
		if err := c.Owe(ino, lost); err != nil {
			return err
		}
		if err := c.touch(ino, nil); err != nil {
			return err
		}
	}
	if name, ok := theirs.String("n"); ok && !slices.Contains(set, "n") {
		return c.followBase(in, in.Cloud.Parent, name)
	}
	return nil
}

// replaced gives the attributes, as far as they were heard, of the node that a command of ours is about to replace or to
// change; nil if that has another one by now.
func (c *change) replaced(it *item) megacrypto.Attributes {
	for _, ino := range []tree.Ino{it.Ino, it.Over} {
		in, err := c.Get(ino)
		if err == nil && in.Cloud != nil && it.Handle != "" && in.Cloud.Handle == it.Handle {
			return in.Cloud.Attrs
		}
	}
	return nil
}

// unheard gives the command of ours without an answer whose packet comes now, for the first time; nil if it isn't one.
func (c *change) unheard(tag string) *item {
	f := c.e.flight
	if f == nil {
		return nil
	}
	if i, ours := f.tags[tag]; ours && !f.Items[i].Echoed {
		return &f.Items[i]
	}
	return nil
}

// applyOurs applies a packet that may be that of a command without an answer, and what it took away from others.
func (c *change) applyOurs(it *item, apply func() error) error {
	if it == nil || it.Kind != itemAttrs && it.Kind != itemFile {
		return apply()
	}
	theirs := c.replaced(it)
	if err := apply(); err != nil || theirs == nil {
		return err
	}
	in, err := c.Get(it.Ino)
	if err != nil || in.Cloud == nil || it.Kind == itemFile && !bytes.Equal(in.Cloud.Key, it.Key) {
		return nil
	}
	return c.owe(it.Ino, theirs, it.Set, false)
}
