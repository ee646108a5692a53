package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// ErrNotLink means that an inode isn't a symbolic link.
var ErrNotLink = errors.New("not a symbolic link")

// Symlink makes a symbolic link: a small file whose content is the target. The
// target is just bytes; nothing here ever follows it. Errors: tree.ErrInvalid
// (an empty target, or NUL in it), tree.ErrNameTooLong, and those of Create.
func (e *Engine) Symlink(ctx context.Context, parent tree.Ino, name, target string) (tree.Inode, error) {
	return e.symlink(ctx, parent, name, target, nil)
}

// ReplaceLink makes a symbolic link in the place of another one, in one step: an error leaves that one. Errors: those of
// Symlink, and ErrNotLink.
func (e *Engine) ReplaceLink(ctx context.Context, parent tree.Ino, name, target string) (tree.Inode, error) {
	return e.symlink(ctx, parent, name, target, func(c *change) error {
		old, err := c.Lookup(parent, name)
		if err == nil && !old.IsLink() {
			err = ErrNotLink
		}
		if err != nil {
			return err
		}
		return c.remove(old)
	})
}

func (e *Engine) symlink(ctx context.Context, parent tree.Ino, name, target string, first func(*change) error) (tree.Inode, error) {
	switch {
	case target == "" || strings.ContainsRune(target, 0):
		return tree.Inode{}, tree.ErrInvalid
	case len(target) > tree.MaxTarget:
		return tree.Inode{}, tree.ErrNameTooLong
	}
	in := tree.Inode{Kind: tree.File, Parent: parent, Name: name, Link: true, Size: int64(len(target))}
	return e.make(ctx, in, first, func(c *change, made *tree.Inode) error { return c.stageWhole(made, []byte(target)) })
}

// stageWhole gives a new file its content, in the transaction that makes it:
// nobody ever sees it without.
func (c *change) stageWhole(in *tree.Inode, content []byte) error {
	owner := staging.Owner{Ino: uint64(in.Ino), Path: in.Name}
	if dir, err := c.e.tree.Path(in.Parent); err == nil {
		owner.Path = strings.TrimSuffix(dir, "/") + "/" + in.Name
	}
	es, err := c.e.staging.Append(owner, 0, content)
	if err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	c.undo = append(c.undo, func() { c.e.staging.Release(es...) })
	m := &staging.Map{}
	m.Insert(es...)
	for _, id := range m.Regions() {
		if err := c.putRegion(rowExtents, in.Ino, id, m.Region(id)); err != nil {
			return err
		}
	}
	in.Pending |= tree.PendingContent
	return c.Put(in)
}

// Readlink gives the target of a symbolic link; ctx ends the wait for one that
// is nowhere here. Errors: ErrNotLink and those of File.ReadAt.
func (e *Engine) Readlink(ctx context.Context, ino tree.Ino) (string, error) {
	in, err := e.Stat(ino)
	if err != nil {
		return "", err
	}
	if !in.IsLink() {
		return "", ErrNotLink
	}
	f, err := e.Open(ctx, ino, false, false)
	if err != nil {
		return "", err
	}
	defer f.Release()
	target := make([]byte, in.Size)
	n, err := f.ReadAt(ctx, target, 0)
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("reading a link: %w", err)
	}
	return string(target[:n]), nil
}
