package serve

import (
	"context"
	"errors"
	"fmt"
	"io"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/linktree"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// Import copies what a public link opens into the drive. The content comes here and goes up again: MEGA copies on its
// servers only what a link to a single file opens, and no half of an import should go another way than the other.
func (p *Process) Import(ctx context.Context, r control.Carry, tell func(control.Carried)) (control.Carried, error) {
	if err := p.changeable(); err != nil {
		return control.Carried{}, err
	}
	link, err := megacrypto.ParseLink(r.From)
	if err != nil {
		return control.Carried{}, err
	}
	client, err := p.o.OpenLink(link)
	if err != nil {
		return control.Carried{}, err
	}
	defer client.Close()
	root, err := linktree.Fetch(ctx, client)
	if err != nil {
		return control.Carried{}, err
	}
	parent, name, err := p.target(r.To, root.Name)
	if err != nil {
		return control.Carried{}, err
	}
	g := &carrying{p: p, tell: tell, done: control.Carried{AllBytes: root.Bytes()}}
	ino, err := g.take(ctx, client, root, parent, name)
	if err != nil {
		return g.done, err
	}
	if g.done.Path, err = p.engine.Tree().Path(ino); err != nil {
		return g.done, err
	}
	return g.done, p.shown(ctx)
}

// take copies a node of a link under a name that must be free.
func (g *carrying) take(ctx context.Context, c *megaclient.Client, n *linktree.Node, parent tree.Ino, name string) (tree.Ino, error) {
	if !n.Folder {
		return g.takeFile(ctx, c, n, parent, name)
	}
	in, err := g.p.engine.Mkdir(ctx, parent, name, 0o777&^Umask()|writeback.ModeUsual)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	g.done.Folders++
	for _, child := range n.Children {
		if _, err := g.take(ctx, c, child, in.Ino, child.Name); err != nil {
			return 0, err
		}
	}
	return in.Ino, nil
}

func (g *carrying) takeFile(ctx context.Context, c *megaclient.Client, n *linktree.Node, parent tree.Ino, name string) (tree.Ino, error) {
	e := g.p.engine
	in, err := e.Create(ctx, parent, name, 0o666&^Umask()|writeback.ModeUsual)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	defer r.Close()
	fetched := make(chan error, 1)
	go func() {
		err := c.Get(ctx, n.Node, w)
		fetched <- err
		w.CloseWithError(err)
	}()
	// The last byte is given only when all were found right: ReplaceContent changes nothing before it has that.
	err = e.ReplaceContent(ctx, in.Ino, n.Size, func(b []byte, off int64) (int, error) {
		got, err := io.ReadFull(r, b)
		if off+int64(got) == n.Size && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) {
			err = <-fetched
			fetched <- err
		}
		g.done.Bytes += int64(got)
		g.tell(g.done)
		return got, err
	})
	if err != nil {
		return 0, errors.Join(fmt.Errorf("%s: %w", name, err), e.Unmake(ctx, in.Ino))
	}
	if _, err := e.SetAttr(ctx, in.Ino, writeback.Attr{Mtime: &n.Mtime}); err != nil {
		return 0, err
	}
	g.done.Files++
	return in.Ino, nil
}
