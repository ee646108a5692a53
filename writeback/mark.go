package writeback

import (
	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// What events say about the commands of the batch in flight.

// markFound notes that the node of a creation in flight exists; it gives the
// inode, 0 if it isn't one.
func (c *change) markFound(n *megaclient.Node) tree.Ino {
	f := c.e.flight
	if f == nil || len(n.Key) == 0 {
		return 0
	}
	name, _ := n.Name()
	ino, ours := c.e.pendingKey(n.Key, n.Parent, name)
	if !ours {
		return 0
	}
	known, isKnown := c.ByHandle(n.Handle)
	for i := range f.Items {
		it := &f.Items[i]
		if it.Copy && (n.Version || isKnown && known != ino) {
			continue // the source, or another copy of it
		}
		if it.Found == "" && it.Ino == ino && string(it.Key) == string(n.Key) {
			c.mark(it, func() { it.Found = n.Handle })
		}
	}
	return ino
}

// markEchoed notes that the packet of a command in flight was applied. Of a
// move the second half counts.
func (c *change) markEchoed(p megaclient.Packet) {
	f := c.e.flight
	if f == nil || p.PacketTag() == "" {
		return
	}
	i, ours := f.tags[p.PacketTag()]
	if !ours {
		return
	}
	if r, ok := p.(*megaclient.RemovePacket); ok && r.Move {
		return
	}
	c.mark(&f.Items[i], func() { f.Items[i].Echoed = true })
}

// mark notes what events say about a command in flight: nothing, if they can't be applied.
func (c *change) mark(it *item, fn func()) {
	before := *it
	c.undo = append(c.undo, func() { *it = before })
	fn()
	c.flightMarked = true
}
