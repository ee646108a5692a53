package serve

import (
	"context"
	"fmt"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

var _ control.Linker = (*Process)(nil)

// Link makes a public link to what lies at a path, which goes up first, or takes it back.
func (p *Process) Link(ctx context.Context, r control.LinkRequest) (string, error) {
	if err := p.changeable(); err != nil {
		return "", err
	}
	ino, err := p.inodeAt(r.Path)
	if err != nil {
		return "", err
	}
	if !r.Remove {
		if err := p.engine.Flush(ctx, ino); err != nil {
			return "", fmt.Errorf("%s isn't wholly in the cloud yet: %w", r.Path, err)
		}
	}
	in, err := p.engine.Tree().Get(ino)
	switch {
	case err != nil:
		return "", err
	case in.Cloud == nil || in.Parent == 0:
		return "", fmt.Errorf("%s can't have a link", r.Path)
	case r.Remove && in.Cloud.Link == "":
		return "", notThere("there is no public link to %s", r.Path)
	case r.Remove:
		return "", p.o.Client.Unexport(ctx, in.Cloud.Handle)
	}
	below, err := p.keysBelow(ino, nil)
	if err != nil {
		return "", err
	}
	c := in.Cloud
	link, err := p.o.Client.ExportLink(ctx, &megaclient.Node{
		Handle: c.Handle, Parent: c.Parent, Owner: c.Owner, Type: c.Type, Key: c.Key, Attrs: c.Attrs,
	}, below...)
	if err != nil {
		return "", err
	}
	return link.String(), nil
}

// keysBelow lists the keys of all that is in a folder.
func (p *Process) keysBelow(dir tree.Ino, all []megaclient.KeyedNode) ([]megaclient.KeyedNode, error) {
	if in, err := p.engine.Tree().Get(dir); err != nil || in.Kind != tree.Dir {
		return all, err
	}
	for after := ""; ; {
		page, err := p.engine.Tree().ReadDir(dir, after, 1000)
		if err != nil || len(page) == 0 {
			return all, err
		}
		for _, in := range page {
			if in.Cloud != nil && in.Cloud.Key != nil {
				all = append(all, megaclient.KeyedNode{Handle: in.Cloud.Handle, Key: in.Cloud.Key})
			}
			if in.Kind == tree.Dir {
				if all, err = p.keysBelow(in.Ino, all); err != nil {
					return all, err
				}
			}
			after = in.Name
		}
	}
}
