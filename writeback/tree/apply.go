package tree

import (
	"fmt"

	"megadisk/megaclient"
)

// Applying what the cloud says. Each Apply may be repeated. An error that is ErrInvalid or ErrCircular
// concerns that one node, of which nothing was changed: the transaction can go on. Any other error ends
// the transaction.

const (
	// maxNodeText bounds what a node may hold in bytes: four times what the server takes.
	maxNodeText = 256 << 10
	// maxSize is beyond every file's size, and far from overflow.
	maxSize = 1 << 60
)

// ApplyNode applies a node of a full fetch, of an answer, or of a packet (new, moved, a new version, or
// as it was). tag is the packet's, "" if none: with a tag of ours (Options.OwnTag) a changed place isn't
// taken for somebody else's wish to keep what is deleted here.
func (tx *Tx) ApplyNode(n *megaclient.Node, tag string) error {
	c, err := tx.shadowOf(n)
	if err != nil {
		return fmt.Errorf("applying a node: %w", err)
	}
	if err := tx.apply(c, tag != "" && tx.t.opts.OwnTag(tag)); err != nil {
		return fmt.Errorf("applying a node: %w", err)
	}
	tx.endHalf(c.Handle)
	return nil
}

// shadowOf checks a node and makes a shadow of it. The node's key and attributes are not copied.
func (tx *Tx) shadowOf(n *megaclient.Node) (*Cloud, error) {
	switch {
	case !validHandle(n.Handle), n.Parent != "" && !validHandle(n.Parent), n.Parent == n.Handle:
		return nil, fmt.Errorf("handles: %w", ErrInvalid)
	case n.Type < megaclient.FileNode || n.Type > megaclient.RubbishNode:
		return nil, fmt.Errorf("type %d: %w", n.Type, ErrInvalid)
	case len(n.RawKey)+len(n.RawAttrs)+len(n.FileAttrs)+len(n.Owner)+len(n.SharedBy) > maxNodeText:
		return nil, fmt.Errorf("a node too big to keep: %w", ErrInvalid)
	}
	tx.expect(2 * (len(n.RawKey) + len(n.RawAttrs) + len(n.FileAttrs))) // what a program has set stands in the row twice
	if (n.Key == nil || n.Attrs == nil) && n.Type <= megaclient.FolderNode {
		tx.t.opts.Decrypt(n)
	}
	c := &Cloud{
		Handle: n.Handle, Parent: n.Parent, Owner: n.Owner, Type: n.Type, Created: clampSeconds(n.Created),
		Key: n.Key, FileAttrs: n.FileAttrs, Access: n.Access, Share: n.ShareRoot, SharedBy: n.SharedBy,
		Damaged: n.Damaged, Foreign: n.Foreign,
	}
	if n.Type == megaclient.FileNode {
		c.Size = min(max(n.Size, 0), maxSize)
	}
	if n.Key == nil {
		c.RawKey = n.RawKey
	}
	if name, ok := n.Name(); ok && textSize(n) <= maxNodeText {
		c.Attrs, c.Name = n.Attrs, name
	} else {
		c.RawAttrs = n.RawAttrs
	}
	return c, nil
}

func textSize(n *megaclient.Node) (size int) {
	for name, v := range n.Attrs {
		size += len(name) + len(v)
	}
	return size
}

// clampSeconds keeps a time of somebody else's within what nanoseconds can say.
func clampSeconds(s int64) int64 { return min(max(s, -1<<33), 1<<33) }

// mtime gives a node's time of last modification in ns: a file's by its fingerprint, a folder's by its
// creation.
func (c *Cloud) mtime() int64 {
	n := megaclient.Node{Attrs: c.Attrs, Created: c.Created}
	if c.Type != megaclient.FileNode {
		n.Attrs = nil
	}
	return n.Mtime().UnixNano()
}

func (c *Cloud) kind() Kind {
	if c.Type == megaclient.FileNode {
		return File
	}
	return Dir
}

// base says that a file's bytes come from this node.
func (c *Cloud) base() Base {
	return Base{Handle: c.Handle, Key: c.Key, Size: c.Size, Limit: c.Size}
}

// apply applies a node.
func (tx *Tx) apply(c *Cloud, own bool) error {
	if root := fixedIno(c.Type); root != 0 {
		return tx.applyRoot(root, c)
	}
	r, known, err := tx.handle(c.Handle)
	if err != nil {
		return err
	}
	isNode := known && !r.Version && r.Orphan == ""
	if isNode {
		if err := tx.keepOurs(r.Ino, c); err != nil {
			return err
		}
	}
	if !isNode && c.Key != nil {
		if ino, ok := tx.t.opts.PendingKey(c.Key, c.Parent, c.Name); ok {
			if done, err := tx.attachOwn(ino, c, r.Version); done || err != nil {
				return err
			}
		}
	}
	parent, ok, err := tx.cloudParent(c)
	if err == nil && !ok && !own {
		parent, ok, err = tx.reviveParent(c, r, isNode)
	}
	switch {
	case err != nil:
		return err
	case ok && tx.isFile(parent):
		return tx.applyVersion(c, parent)
	case !ok && isNode:
		return tx.parkKnown(r.Ino, c)
	case !ok:
		return tx.park(c, !own)
	case isNode:
		err = tx.applyKnown(r.Ino, c, parent, own)
	default:
		err = tx.applyNew(c, parent)
	}
	if err != nil {
		return err
	}
	tx.adopt = append(tx.adopt, c.Handle)
	if parent == SharesIno && validHandle(c.Parent) {
		return tx.setOrphan(c.Parent, c.Handle, nil, false) // should its parent come to light
	}
	return nil
}

func fixedIno(t megaclient.NodeType) Ino {
	switch t {
	case megaclient.RootNode:
		return DriveIno
	case megaclient.RubbishNode:
		return BinIno
	case megaclient.VaultNode:
		return VaultIno
	}
	return 0
}

// applyRoot applies one of the three top folders. A second one in the same fetch is refused.
func (tx *Tx) applyRoot(ino Ino, c *Cloud) error {
	r, known, err := tx.handle(c.Handle)
	if err != nil {
		return err
	}
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	second := e.Cloud != nil && e.Cloud.Handle != c.Handle && e.Epoch == tx.epoch
	if second || known && r.Orphan == "" && r.Ino != ino {
		return fmt.Errorf("a second top folder: %w", ErrInvalid)
	}
	if c.Attrs == nil {
		c.Name, c.RawAttrs, c.RawKey = "", "", ""
	}
	e.Epoch = tx.epoch
	if err := tx.setShadow(e, c); err != nil {
		return err
	}
	tx.adopt = append(tx.adopt, c.Handle)
	return nil
}

// cloudParent gives the inode of the folder (or, for a version, of the file) that a node is in; false
// if that is unknown, or is itself no longer in the tree.
func (tx *Tx) cloudParent(c *Cloud) (Ino, bool, error) {
	r, known, err := tx.handle(c.Parent)
	if err != nil {
		return 0, false, err
	}
	if known && r.Orphan == "" {
		p, err := tx.climb(r.Ino, nil)
		if err != nil {
			return 0, false, err
		}
		if !p.gone || r.Version || tx.isFile(r.Ino) {
			return r.Ino, true, nil
		}
	}
	if c.Share {
		return SharesIno, true, nil
	}
	return 0, false, nil
}

func (tx *Tx) isFile(ino Ino) bool {
	in, err := tx.peek(ino)
	return err == nil && in.Kind == File
}
