package megaclient

import (
	"context"
	"fmt"
	"time"

	"megadisk/megaclient/megacrypto"
)

// do carries out one operation now. It is for programs that keep no journal: if it fails with
// ErrUncertain, they have to look for themselves.
func (c *Client) do(ctx context.Context, op Op) (Result, error) {
	b, err := c.Prepare(op)
	if err != nil {
		return Result{}, err
	}
	results, err := c.Execute(ctx, b)
	if err != nil {
		return Result{}, err
	}
	return results[0], results[0].Err
}

// created gives the node that a PutNodes of one made.
func created(r Result, err error) (*Node, error) {
	if err != nil {
		return nil, err
	}
	if len(r.Nodes) == 0 {
		return nil, fmt.Errorf("%w: no node in it", ErrBadAnswer)
	}
	return r.Nodes[0], nil
}

// Mkdir makes a folder. shares are the share roots that the parent lies in or is.
func (c *Client) Mkdir(ctx context.Context, parent Handle, name string, shares ...Handle) (*Node, error) {
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", name)
	key := megacrypto.NewKey()
	n, err := created(c.do(ctx, PutNodes{
		Parent: parent, Shares: shares,
		Nodes: []NewNode{{Type: FolderNode, Key: key[:], Attrs: attrs}},
	}))
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	return n, nil
}

// Move moves a node into another folder. Into a shared folder, the keys of what lies below n don't
// go along: use MoveNode for that.
func (c *Client) Move(ctx context.Context, n *Node, parent Handle, shares ...Handle) error {
	op := MoveNode{Node: n.Handle, Parent: parent, Shares: shares, Moved: []KeyedNode{{n.Handle, n.Key}}}
	if _, err := c.do(ctx, op); err != nil {
		return fmt.Errorf("moving a node: %w", err)
	}
	return nil
}

// Trash moves a node to the rubbish bin, whose handle comes with FetchNodes.
func (c *Client) Trash(ctx context.Context, n *Node, rubbish Handle) error {
	return c.Move(ctx, n, rubbish)
}

// Rename gives a node another name and keeps all its other attributes. On success n has it too.
func (c *Client) Rename(ctx context.Context, n *Node, name string) error {
	if n.Attrs == nil {
		return fmt.Errorf("renaming a node: its attributes are not known: %w", EKEY)
	}
	attrs := n.Attrs.Clone()
	attrs.SetString("n", name)
	if _, err := c.do(ctx, SetAttrs{Node: n.Handle, Type: n.Type, Key: n.Key, Attrs: attrs}); err != nil {
		return fmt.Errorf("renaming a node: %w", err)
	}
	n.Attrs = attrs
	return nil
}

// Remove removes a node for good, with all below it and all its versions.
func (c *Client) Remove(ctx context.Context, h Handle) error {
	if _, err := c.do(ctx, RemoveNode{Node: h}); err != nil {
		return fmt.Errorf("removing a node: %w", err)
	}
	return nil
}

// ExportLink makes a public link to a file or folder. For a folder, below gives all nodes in it,
// whose keys the link must open.
func (c *Client) ExportLink(ctx context.Context, n *Node, below ...KeyedNode) (megacrypto.Link, error) {
	link := megacrypto.Link{Kind: megacrypto.FileLink, Key: n.Key}
	if n.Key == nil {
		return link, fmt.Errorf("making a link: the node's key is not known: %w", EKEY)
	}
	if n.Type != FileNode {
		key, err := c.openFolder(ctx, n, below)
		if err != nil {
			return link, fmt.Errorf("sharing a folder: %w", err)
		}
		link.Kind, link.Key = megacrypto.FolderLink, key[:]
	}
	r, err := c.do(ctx, ExportNode{Node: n.Handle})
	if err != nil {
		return link, fmt.Errorf("making a link: %w", err)
	}
	link.Handle = string(r.Link)
	return link, nil
}

// ExpireLink lets the public link that a node has end at a time.
func (c *Client) ExpireLink(ctx context.Context, h Handle, at time.Time) error {
	if _, err := c.do(ctx, ExportNode{Node: h, Expires: at}); err != nil {
		return fmt.Errorf("letting a link expire: %w", err)
	}
	return nil
}

// Unexport takes a public link back.
func (c *Client) Unexport(ctx context.Context, h Handle) error {
	if _, err := c.do(ctx, ExportNode{Node: h, Remove: true}); err != nil {
		return fmt.Errorf("removing a link: %w", err)
	}
	return nil
}

// openFolder shares a folder with whoever has its key. A key made for that would have to be written
// into ^!keys on a modern account, which is never done here.
func (c *Client) openFolder(ctx context.Context, n *Node, below []KeyedNode) (megacrypto.Key, error) {
	key, known := c.ownKey(n.Handle)
	if !known {
		if err := c.LoadKeys(ctx); err != nil {
			return key, err
		}
		if key, known = c.ownKey(n.Handle); !known && c.isModern() {
			return key, ErrNewShare
		}
	}
	if !known {
		key = megacrypto.NewKey()
	}
	op := shareFolder{folder: n, key: key, below: below, with: exportUser, access: AccessRead}
	if _, err := c.do(ctx, op); err != nil {
		return key, err
	}
	c.learnShare(n.Handle, key, fromOwner)
	return key, nil
}

func (c *Client) isModern() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.modern
}
