package writeback

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"megadisk/writeback/tree"
)

// A desktop puts into the trash by renaming a file into a folder of the mount,
// beside a note that says where it was. That folder is only here: it hangs
// below tree.TrashIno, with the notes in it. What the cloud has and is moved
// into it goes to the bin there, and keeps its place here for as long as its
// place in the cloud is the bin, as any place that was changed here does
// (tree.PendingPlace). Moved out again, it is moved back in the cloud too. What
// the cloud never had goes nowhere.
//
// What is removed from the trash leaves the view: it is set aside in TrashIno
// itself until it is in the bin, and is then one of the things there. It goes
// as a whole: removing something inside a trashed folder, which who empties a
// trash does first, does nothing.

// trashFolders are what is in each trash.
var trashFolders = []string{"files", "info"}

// Trash gives the folder that is the trash of who has mounted root, and makes
// it when there is none.
func (e *Engine) Trash(ctx context.Context, root tree.Ino) (tree.Inode, error) {
	name := "of-" + strconv.FormatUint(uint64(root), 10)
	dir, err := e.privateDir(ctx, tree.TrashIno, name)
	for _, below := range trashFolders {
		if err == nil {
			_, err = e.privateDir(ctx, dir.Ino, below)
		}
	}
	return dir, err
}

func (e *Engine) privateDir(ctx context.Context, parent tree.Ino, name string) (tree.Inode, error) {
	dir, err := e.tree.Lookup(parent, name)
	if errors.Is(err, tree.ErrNotFound) {
		if dir, err = e.Mkdir(ctx, parent, name, 0o700); errors.Is(err, tree.ErrExist) {
			dir, err = e.tree.Lookup(parent, name)
		}
	}
	return dir, err
}

// maxDepth bounds the walk from an inode up.
const maxDepth = 4096

// isTrashed tells whether an inode is in a trash.
func isTrashed(in *tree.Inode, get func(tree.Ino) *tree.Inode) bool {
	for depth := 0; in != nil && in.Parent != 0 && depth < maxDepth; depth++ {
		if in.Parent == tree.TrashIno {
			return true
		}
		in = get(in.Parent)
	}
	return false
}

// trashGoes tells whether something in a trash has to be sent or settled: what the cloud
// has goes to the bin, unless it is there, or its folder is.
func trashGoes(in *tree.Inode, get func(tree.Ino) *tree.Inode) bool {
	up, bin := get(in.Parent), get(tree.BinIno)
	if in.Cloud == nil || up == nil || up.Cloud != nil {
		return false
	}
	return in.Parent == tree.TrashIno || bin == nil || bin.Cloud == nil || in.Cloud.Parent != bin.Cloud.Handle
}

// planTrashed decides about something in a trash that has to be sent or settled.
func planTrashed(f facts) verdict {
	if f.inBin {
		return do(stepUnview)
	}
	return do(stepTrash)
}

// row is Get for what may as well be missing.
func (c *change) row(ino tree.Ino) *tree.Inode {
	in, err := c.Get(ino)
	if err != nil {
		return nil
	}
	return &in
}

// isTrash tells whether a folder is in a trash, or one.
func (c *change) isTrash(ino tree.Ino) bool {
	in := c.row(ino)
	return ino == tree.TrashIno || in != nil && isTrashed(in, c.row)
}

// judgeBelow judges anew what is pending below a folder that came into the
// trash or left it. writeMu is held.
func (e *Engine) judgeBelow(top tree.Ino) {
	for _, ino := range e.queue.all() {
		d, dirty := e.queue.get(ino)
		in := e.rowOf(ino)
		if !dirty || in == nil || !e.isBelow(ino, top) {
			continue
		}
		why := e.staying(in, &d.entry, e.rowOf)
		e.queue.with(ino, func(d *dirtyInode) { e.queue.setStaysLocked(d, why) })
		e.queue.mark(ino)
	}
}

// removeFromTrash sets aside what is removed from the trash, until it is in the
// bin.
func (c *change) removeFromTrash(in tree.Inode) error {
	if up := c.row(in.Parent); up == nil || up.Cloud != nil {
		return nil // it goes with its folder
	}
	if in.Kind == tree.Dir {
		holds, err := c.holdsNew(in.Ino)
		if err != nil {
			return err
		}
		if holds {
			return tree.ErrNotEmpty
		}
	}
	return c.move(in, tree.TrashIno, in.Ino.String())
}

// holdsNew tells whether something that the cloud doesn't have is below a
// folder.
func (c *change) holdsNew(dir tree.Ino) (bool, error) {
	for _, ino := range c.e.queue.all() {
		in := c.row(ino)
		if in != nil && in.Cloud == nil && !in.Removed && ino != dir && c.below(ino, dir) {
			return true, nil
		}
	}
	return false, nil
}

// echoPause is when an echo is looked for again.
const echoPause = 100 * time.Millisecond

// unview lets go of what was removed from the trash and is in the bin, once our
// own packet has said so: one that came later would find it in the bin without
// having been removed here, and take it out.
func (c *change) unview(t task) error {
	in, err := c.Get(t.ino)
	if err != nil || in.Removed || in.Parent != tree.TrashIno || !c.cloudInBin(in.Cloud) || c.inFlight(t.ino) {
		return nil
	}
	shadow := in.Cloud.Clone()
	if c.awaited(shadow.Handle, fieldPlace) || c.awaited(shadow.Handle, fieldAttrs) {
		ent, ok, err := c.entry(t.ino)
		if err != nil || !ok {
			return err
		}
		ent.Retry = c.e.now().Add(echoPause).UnixNano()
		return c.putEntry(t.ino, ent)
	}
	in.Pending &^= tree.PendingPlace | tree.PendingAttrs
	if err := c.Put(&in); err != nil {
		return err
	}
	end := c.settle
	if in.Pending != 0 {
		end = func(ino tree.Ino) error { return c.touch(ino, func(ent *entry) { ent.Retry = 0 }) }
	}
	if err := end(in.Ino); err != nil {
		return err
	}
	if c.e.opts.PurgeTrash {
		if err := c.doomMoved(shadow.Handle); err != nil {
			return err
		}
	}
	c.after = append(c.after, func() { c.e.judgeBelow(t.ino) })
	return c.ApplyNode(nodeOf(shadow), "")
}

// doomTrashed stores, with Options.PurgeTrash, what goes for good with
// something that is about to leave the trash.
func (e *Engine) doomTrashed(ctx context.Context, ino tree.Ino) error {
	in, err := e.tree.Get(ino)
	if !e.opts.PurgeTrash || err != nil || in.Cloud == nil {
		return nil
	}
	all := []tree.Ino{ino}
	for i := 0; i < len(all); i++ {
		for after := ""; ; {
			page, err := e.tree.ReadDir(all[i], after, rowsAtOnce)
			if errors.Is(err, tree.ErrNotDir) || err == nil && len(page) == 0 {
				break
			}
			if err != nil {
				return fmt.Errorf("listing what is to be deleted: %w", err)
			}
			for _, child := range page {
				all = append(all, child.Ino)
			}
			after = page[len(page)-1].Name
		}
	}
	return e.storeDoomed(ctx, in.Cloud.Handle, all, false)
}
