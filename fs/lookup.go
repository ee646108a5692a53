package fs

import (
	"context"
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback/tree"
)

// Lookup finds a name in a folder. That a name is absent is an answer that the kernel may keep as well: OK with node
// id 0 (an ENOENT would be asked again each time).
func (b *bridge) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if len(name) > maxName {
		return b.status("lookup", tree.ErrNameTooLong)
	}
	ctx := b.request(cancel)
	defer ctx.end()
	t := b.timeoutsNow()
	in, err := b.lookup(ctx, b.ino(header.NodeId), name)
	if errors.Is(err, tree.ErrNotFound) {
		out.NodeId = 0
		out.SetEntryTimeout(t.Negative)
		return fuse.OK
	}
	if err != nil {
		return b.status("lookup", err)
	}
	if in.Kind == tree.File {
		b.listers.look(b.ino(header.NodeId))
	}
	b.fillEntry(out, &in, t)
	return fuse.OK
}

// lookup finds a name, with attributes as fresh as the engine's. While the first tree is still coming, "not there" may
// only mean "not there yet": it waits until all is known.
func (b *bridge) lookup(ctx context.Context, parent tree.Ino, name string) (tree.Inode, error) {
	in, err := b.table.Lookup(parent, name)
	if err != nil && errors.Is(err, tree.ErrNotFound) && !b.ready.Load() {
		if err := b.waitReady(ctx); err != nil {
			return tree.Inode{}, err
		}
		in, err = b.table.Lookup(parent, name)
	}
	if err != nil {
		return tree.Inode{}, err
	}
	return b.fresh(in), nil
}

// fresh adds to a row what writes through open handles have changed and not yet committed.
func (b *bridge) fresh(in tree.Inode) tree.Inode {
	if in.Kind != tree.File {
		return in
	}
	if now, err := b.engine.Stat(in.Ino); err == nil {
		return now
	}
	return in
}

// waitReady waits until the tree has been fetched once. Before that, changes of the namespace would be decided on half
// of the facts.
func (b *bridge) waitReady(ctx context.Context) error {
	if b.ready.Load() {
		return nil
	}
	if err := b.engine.Ready(ctx); err != nil {
		return err
	}
	b.ready.Store(true)
	return nil
}

// Forget is the kernel letting go of an inode. Only removed ones wait for that: their rows stay for who has them open
// or stands in them.
func (b *bridge) Forget(nodeID, _ uint64) {
	b.letGo(b.ino(nodeID))
}
