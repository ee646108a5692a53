package writeback

import (
	"context"

	"megadisk/writeback/tree"
)

// localSteps takes those steps that need no command, and gives back the others.
func (e *Engine) localSteps(ctx context.Context, tasks []task) (commands []task, err error) {
	for _, t := range tasks {
		var fn func(*change, task) error
		switch t.step {
		case stepSettle:
			fn = (*change).dropSettled
		case stepUnview:
			if err := e.doomTrashed(ctx, t.ino); err != nil {
				return nil, err
			}
			fn = (*change).unview
		case stepRevive:
			fn = (*change).revive
		case stepConflict:
			done, err := e.adoptSame(ctx, t.ino)
			if err != nil {
				e.log.WithField("error", classifyName(err)).Debug("comparing with a version from elsewhere")
			}
			if done {
				continue
			}
			fn = (*change).divert
		default:
			commands = append(commands, t)
			continue
		}
		if err := e.update(ctx, func(c *change) error { return fn(c, t) }); err != nil {
			return nil, err
		}
	}
	return commands, nil
}

// dropSettled drops the journal row of an inode that differs in nothing.
func (c *change) dropSettled(t task) error {
	in, err := c.Get(t.ino)
	if isGone(err) {
		if err := c.dropGeneration(t.ino); err != nil {
			return err
		}
		return c.settle(t.ino)
	}
	if err != nil || c.inFlight(t.ino) {
		return err
	}
	if in.Removed {
		if in.Cloud != nil && in.Pending.Has(tree.PendingRemove) {
			return nil // it came to be again
		}
		return c.release(in)
	}
	if in.Cloud != nil && in.Pending.Has(tree.PendingPlace) {
		differs, err := c.placeDiffers(&in)
		if err != nil {
			return err
		}
		if !differs {
			in.Pending &^= tree.PendingPlace
		}
	}
	if in.Cloud != nil && attrsDiffer(&in) == 0 {
		in.Pending &^= tree.PendingAttrs
	}
	if err := c.Put(&in); err != nil || in.Pending != 0 {
		return err
	}
	if err := c.dropGeneration(t.ino); err != nil {
		return err
	}
	if err := c.dropExtents(t.ino); err != nil {
		return err
	}
	return c.settle(t.ino)
}

// revive undoes a removal: the cloud has another version than the one that was
// removed here. It comes back as a new inode; what took its name here and
// isn't in the cloud yet gives way.
func (c *change) revive(t task) error {
	in, err := c.Get(t.ino)
	if err != nil || !in.Removed || in.Cloud == nil || c.inFlight(t.ino) {
		return nil
	}
	ent, ok, err := c.entry(t.ino)
	if err != nil || !ok || ent.RemovedAs == "" || ent.RemovedAs == in.Cloud.Handle {
		return err // the planner saw our own new version beside an entry from before its answer
	}
	shadow := in.Cloud.Clone()
	if err := c.release(in); err != nil {
		return err
	}
	if err := c.makeWay(in); err != nil {
		return err
	}
	return c.ApplyNode(nodeOf(shadow), "")
}

// makeWay gives a conflict name to a file that isn't in the cloud yet and
// stands where a version from elsewhere belongs.
func (c *change) makeWay(old tree.Inode) error {
	parent, ok := c.ByHandle(old.Cloud.Parent)
	if !ok {
		return nil
	}
	there, err := c.Lookup(parent, tree.Shown(old.Cloud.Name))
	if isGone(err) || (err == nil && there.Cloud != nil) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.rename(there, parent)
}

// rename moves an inode to a conflict name in a folder.
func (c *change) rename(in tree.Inode, parent tree.Ino) error {
	name, err := c.ConflictName(parent, in.Name)
	if err != nil {
		return err
	}
	if err := c.Move(in.Ino, parent, name); err != nil {
		return err
	}
	if err := c.tellOf(in.Ino, Conflicted, in.Name); err != nil {
		return err
	}
	if err := c.bumpDir(parent); err != nil {
		return err
	}
	return c.touch(in.Ino, nil)
}

// divert resolves a conflict of content: a version came in between the one
// that was edited here and ours. Ours becomes a file of its own under a
// conflict name, with its handles; the other one takes the name.
func (c *change) divert(t task) error {
	in, err := c.Get(t.ino)
	if err != nil || in.Removed || in.Cloud == nil || c.inFlight(t.ino) ||
		!in.Pending.Has(tree.PendingContent) || in.Base.Handle == in.Cloud.Handle {
		return nil
	}
	shadow := in.Cloud.Clone()
	if err := c.SetCloud(t.ino, nil); err != nil {
		return err
	}
	if err := c.rename(in, in.Parent); err != nil {
		return err
	}
	if in, err = c.Get(t.ino); err != nil {
		return err
	}
	in.Pending = tree.PendingCreate | tree.PendingContent
	if err := c.Put(&in); err != nil {
		return err
	}
	return c.ApplyNode(nodeOf(shadow), "")
}

// rescue brings a file back that was replaced or removed elsewhere while it
// was open here, because it is written to: under a conflict name.
func (c *change) rescue(in *tree.Inode) error {
	parent := in.Parent
	if up, err := c.Get(parent); err != nil || up.Removed || up.Kind != tree.Dir {
		parent = tree.DriveIno
	}
	if in.Cloud != nil {
		if err := c.SetCloud(in.Ino, nil); err != nil {
			return err
		}
	}
	size, base, mtime, ctime := in.Size, in.Base, in.Mtime, in.Ctime
	row, err := c.Get(in.Ino)
	if err != nil {
		return err
	}
	name, err := c.ConflictName(parent, row.Name)
	if err != nil {
		return err
	}
	// Who writes to it wasn't told of the name, nor asked for it.
	if err := c.Consequence(func() error { return c.Move(in.Ino, parent, name) }); err != nil {
		return err
	}
	if err := c.tellOf(in.Ino, Conflicted, row.Name); err != nil {
		return err
	}
	if *in, err = c.Get(in.Ino); err != nil {
		return err
	}
	in.Size, in.Base, in.Mtime, in.Ctime = size, base, mtime, ctime
	c.after = append(c.after, func() { c.e.unzombie(in.Ino) })
	return nil
}

// unlinkedHere tells whether a removed inode that isn't in the cloud was
// removed by a program here.
func (c *change) unlinkedHere(ino tree.Ino) bool {
	_, err := c.b.Get(inoKey(rowZombie, ino))
	return err == nil
}
