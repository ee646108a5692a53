// Package linktree holds what a public link opens as a tree in memory, for commands that copy it.
package linktree

import (
	"context"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// Node is a file or folder below a link.
type Node struct {
	Name     string // as it can stand in a path; no two in a folder are the same
	Folder   bool
	Size     int64
	Mtime    time.Time
	Node     *megaclient.Node
	Children []*Node
}

// Bytes adds up all files at or below it.
func (n *Node) Bytes() int64 {
	sum := n.Size
	for _, c := range n.Children {
		sum += c.Bytes()
	}
	return sum
}

// Fetch gives what the client's link opens: a file, or a folder with all below it. What has no readable name or key is
// left out. The error is megaclient.ErrLinkGone where there is nothing.
func Fetch(ctx context.Context, c *megaclient.Client) (*Node, error) {
	if err := c.CheckLink(ctx); err != nil {
		return nil, err
	}
	all := map[megaclient.Handle]*Node{}
	var root *Node
	var order []*Node
	_, err := c.FetchNodes(ctx, false, func(n *megaclient.Node) error {
		name, named := n.Name()
		if n.Type == megaclient.RootNode {
			name, named = c.LinkName(), true
		}
		if !named || n.Version || n.Type > megaclient.RootNode {
			return nil
		}
		node := &Node{Name: tree.Shown(name), Folder: n.Type.IsFolder(), Size: n.Size, Mtime: n.Mtime(), Node: n}
		all[n.Handle] = node
		if n.Type == megaclient.RootNode {
			root = node
		} else {
			order = append(order, node)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	link, _ := c.Link()
	if link.Sub != "" {
		root = all[megaclient.Handle(link.Sub)]
	}
	for _, n := range order {
		if n == root {
			continue // a server that puts it below itself would have us go round for ever
		}
		if up := all[n.Node.Parent]; up != nil && up.Folder {
			up.Children = append(up.Children, n)
		}
	}
	for _, n := range all {
		n.tellApart()
	}
	if link.Kind == megacrypto.FileLink && root != nil && len(root.Children) == 1 {
		root = root.Children[0]
	}
	if root == nil {
		return nil, megaclient.ErrLinkGone
	}
	return root, nil
}

// tellApart gives children of one name different ones, as a mount does.
func (n *Node) tellApart() {
	seen := map[string]bool{}
	for _, c := range n.Children {
		wanted := c.Name
		for i := 1; seen[c.Name]; i++ {
			c.Name = tree.DoubleName(wanted, c.Node.Handle, i)
		}
		seen[c.Name] = true
	}
}
