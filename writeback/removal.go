package writeback

import (
	"context"
	"maps"
	"slices"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// versionsAtOnce bounds the older versions that go, or come to other inodes, in one transaction: but for those of the last file.
const versionsAtOnce = 250

// versionsOf counts the older versions that are known of a file.
func versionsOf(in *tree.Inode) int {
	if in.Cloud == nil {
		return 0
	}
	return in.Cloud.Versions
}

// forgetBelow lets go of everything removed here that went with the node of an
// acknowledged removal, in bounded transactions; the top itself is left to the
// caller, so that a crash in between repeats it all.
func (e *Engine) forgetBelow(ctx context.Context, top item) error {
	if in, err := e.tree.Get(top.Ino); err != nil || in.Kind != tree.Dir || !in.Removed && !e.isBelow(in.Ino, tree.BinIno) {
		return nil // brought back meanwhile, for what others put into it: what is to go from it goes by itself
	}
	below, err := e.removedBelow(top.Handle)
	if err != nil {
		return err
	}
	for len(below) > 0 {
		n := 0
		err := e.update(ctx, func(c *change) error {
			for versions := 0; n < min(len(below), rowsAtOnce/4) && versions < versionsAtOnce; n++ {
				in, err := c.Get(below[n])
				if isGone(err) {
					continue
				}
				if err != nil {
					return err
				}
				if !in.Removed || in.Cloud == nil {
					continue // the echo came first: it is in the bin now, and an inode like any other
				}
				versions += versionsOf(&in)
				if err := c.release(in); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		below = below[n:]
	}
	return nil
}

// removedBelow lists what is to be removed and lies below a node in the cloud,
// the deepest first.
func (e *Engine) removedBelow(top megaclient.Handle) (below []tree.Ino, err error) {
	p := &e.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	err = e.tree.View(func(tx *tree.Tx) error {
		fresh := map[megaclient.Handle][]tree.Ino{} // not yet seen by the planner
		for _, ino := range e.queue.marked() {
			if in, err := tx.Get(ino); err == nil && in.Removed && in.Cloud != nil {
				fresh[in.Cloud.Parent] = append(fresh[in.Cloud.Parent], ino)
			}
		}
		next, seen := []megaclient.Handle{top}, map[tree.Ino]bool{}
		for len(next) > 0 {
			h := next[0]
			next = next[1:]
			for _, ino := range append(slices.Collect(maps.Keys(p.gone[h])), fresh[h]...) {
				in, err := tx.Get(ino)
				if seen[ino] || err != nil || !in.Removed || in.Cloud == nil || in.Cloud.Parent != h {
					continue
				}
				seen[ino] = true
				below = append(below, ino)
				next = append(next, in.Cloud.Handle)
			}
		}
		return nil
	})
	slices.Reverse(below)
	return below, err
}

// cloudOf makes a shadow of a node.
func cloudOf(n *megaclient.Node) *tree.Cloud {
	name, _ := n.Name()
	c := &tree.Cloud{
		Handle: n.Handle, Parent: n.Parent, Owner: n.Owner, Type: n.Type, Name: name, Size: n.Size,
		Created: n.Created, Key: n.Key, Attrs: n.Attrs, FileAttrs: n.FileAttrs, Access: n.Access,
		Share: n.ShareRoot, SharedBy: n.SharedBy, Damaged: n.Damaged, Foreign: n.Foreign,
	}
	if n.Key == nil || n.Attrs == nil {
		c.RawKey, c.RawAttrs = n.RawKey, n.RawAttrs
	}
	return c
}

// baseOf says that a file's bytes are those of a node.
func baseOf(c *tree.Cloud) tree.Base {
	return tree.Base{Handle: c.Handle, Key: c.Key, Size: c.Size, Limit: c.Size}
}

// nodeOf makes a node of a shadow, to apply it like one that was heard.
func nodeOf(c *tree.Cloud) *megaclient.Node {
	return &megaclient.Node{
		Handle: c.Handle, Parent: c.Parent, Owner: c.Owner, Type: c.Type, Size: c.Size, Created: c.Created,
		Key: c.Key, RawKey: c.RawKey, Attrs: c.Attrs, RawAttrs: c.RawAttrs, FileAttrs: c.FileAttrs,
		Access: c.Access, SharedBy: c.SharedBy, ShareRoot: c.Share, Damaged: c.Damaged, Foreign: c.Foreign, Index: -1,
	}
}
