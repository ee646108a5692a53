package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/megaclient"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

var _ control.Linker = (*Process)(nil)

// Link makes a public link to what lies at a path, which goes up first, or takes it back.
func (p *Process) Link(ctx context.Context, r control.LinkRequest) (string, error) {
	ino, err := p.inodeAt(r.Path)
	if err != nil {
		return "", err
	}
	link, err := p.linkTo(ctx, ino, r.Remove)
	if errors.Is(err, errNoLink) {
		err = notThere("there is no public link to %s", r.Path)
	}
	if err != nil || r.Expires.IsZero() {
		return link, err
	}
	in, err := p.engine.Tree().Get(ino)
	if err != nil || in.Cloud == nil {
		return "", cmp.Or(err, tree.ErrNotFound)
	}
	if err := p.o.Client.ExpireLink(ctx, in.Cloud.Handle, r.Expires); err != nil {
		return "", fmt.Errorf("the link is made, and doesn't expire (MEGA lets only paid accounts have that): %w", err)
	}
	return link, nil
}

// setLink is what writing user.mega.link does.
func (p *Process) setLink(ctx context.Context, ino tree.Ino, remove bool) error {
	_, err := p.linkTo(ctx, ino, remove)
	if errors.Is(err, errNoLink) {
		err = writeback.ErrNoXattr
	}
	return err
}

// errNoLink means that there is none that could be taken back.
var errNoLink = errors.New("there is no public link")

func (p *Process) linkTo(ctx context.Context, ino tree.Ino, remove bool) (string, error) {
	if err := p.changeable(); err != nil {
		return "", err
	}
	if !remove {
		if err := p.engine.Flush(ctx, ino); err != nil {
			return "", fmt.Errorf("it isn't wholly in the cloud yet: %w", err)
		}
	}
	in, err := p.engine.Tree().Get(ino)
	switch {
	case err != nil:
		return "", err
	case in.Cloud == nil || in.Parent == 0:
		return "", errors.New("the whole drive can't have a link, and neither can what isn't in the cloud")
	case remove && in.Cloud.Link == "":
		return "", errNoLink
	case remove:
		return "", p.o.Client.Unexport(ctx, in.Cloud.Handle)
	}
	below, err := p.keysBelow(ino)
	if err != nil {
		return "", err
	}
	link, err := p.o.Client.ExportLink(ctx, nodeOf(in.Cloud), below...)
	return link.String(), err
}

// keysBelow lists the keys of all that is in a folder.
func (p *Process) keysBelow(dir tree.Ino) (all []megaclient.KeyedNode, err error) {
	err = p.eachNodeBelow(dir, func(c *tree.Cloud) {
		if c.Key != nil {
			all = append(all, megaclient.KeyedNode{Handle: c.Handle, Key: c.Key})
		}
	})
	return all, err
}

// eachNodeBelow calls fn with all that is in a folder and in the cloud.
func (p *Process) eachNodeBelow(dir tree.Ino, fn func(*tree.Cloud)) error {
	if in, err := p.engine.Tree().Get(dir); err != nil || in.Kind != tree.Dir {
		return err
	}
	for after := ""; ; {
		rows, err := p.engine.Tree().ReadDir(dir, after, page)
		if err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			after = rows[i].Name
			if rows[i].Cloud != nil {
				fn(rows[i].Cloud)
			}
			if rows[i].Kind == tree.Dir {
				if err := p.eachNodeBelow(rows[i].Ino, fn); err != nil {
					return err
				}
			}
		}
	}
}

// nodeOf is the node of something in the cloud, as the client takes it.
func nodeOf(c *tree.Cloud) *megaclient.Node {
	return &megaclient.Node{Handle: c.Handle, Parent: c.Parent, Owner: c.Owner, Type: c.Type, Key: c.Key, Attrs: c.Attrs}
}
