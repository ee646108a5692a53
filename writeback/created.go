package writeback

import (
	"bytes"
	"slices"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// settleCreation: the node exists. node is nil when only its traces were found.
func (c *change) settleCreation(in tree.Inode, it item, node *megaclient.Node, tag string, st *fileState) error {
	if it.Found != "" && in.Cloud == nil {
		return c.settleOvertaken(in, it, st)
	}
	made, theirs := c.madeCloud(in, it, node), c.replaced(&it)
	if it.cameBetween(in.Cloud, made.Handle) && it.Found == "" {
		if err := c.Part(it.Ino, made); err != nil {
			return err
		}
	} else if in.Cloud == nil || in.Cloud.Handle == it.Handle {
		if it.Over != 0 {
			if err := c.takeOver(it); err != nil {
				return err
			}
		}
		if err := c.SetCloud(it.Ino, made); err != nil {
			return err
		}
	} else if it.Over != 0 {
		if err := c.letGo(it); err != nil {
			return err
		}
	}
	if !it.Echoed {
		if err := c.addEcho(made.Handle, tag, fieldPlace, fieldAttrs); err != nil {
			return err
		}
	}
	if err := c.owe(it.Ino, theirs, it.Set, false); err != nil {
		return err
	}
	in, err := c.Get(it.Ino)
	if err != nil {
		return err
	}
	in.Pending &^= tree.PendingCreate
	if it.Kind == itemFile {
		c.later = append(c.later, func() { c.e.passedWall(it.Ino) })
		if err := c.settleContent(&in, it, made, st); err != nil {
			return err
		}
		if err := c.spend(it, made.Handle); err != nil {
			return err
		}
	}
	if !c.displaced(&in, it) && (in.Parent != it.LocalParent || !in.HasCloudName() || c.cloudInBin(in.Cloud)) {
		in.Pending |= tree.PendingPlace
	}
	if in.Cloud.Handle == made.Handle {
		reviewAttrs(&in)
	}
	if err := c.finish(in, it); err != nil {
		return err
	}
	if in.Cloud.Handle == made.Handle || in.Pending.Has(tree.PendingContent) || in.Removed {
		return nil
	}
	if it.Kind == itemFolder {
		return c.secondFolder(made)
	}
	return c.catchUp(it.Ino, made, in.Cloud)
}

// displaced tells whether others have given our node another name or place since, as far as was heard after it, and nothing did
// so here. What the server put into the bin with its folder is to come back.
func (c *change) displaced(in *tree.Inode, it item) bool {
	unchanged := in.Parent == it.LocalParent && in.Name == it.LocalName
	return it.Echoed && unchanged && (in.Cloud.Name != it.Name || in.Cloud.Parent != it.Parent) && !c.cloudInBin(in.Cloud)
}

// cameBetween tells whether a file has another node than the one that its new version, of that handle, replaces.
func (it *item) cameBetween(now *tree.Cloud, made megaclient.Handle) bool {
	return it.Kind == itemFile && it.Over == 0 && now != nil && it.Handle != "" && now.Handle != it.Handle && now.Handle != made
}

// part lets somebody's version stand beside ours, of which a packet or a fetch tells, if it was heard of between our
// command and that. What the server makes of a version that is replaced twice isn't known: if it put ours on top, the
// same packet says so next, and the two are one file again.
func (c *change) part(ino tree.Ino, n *megaclient.Node) error {
	if ino == 0 || n.Version || c.e.flight == nil {
		return nil
	}
	in, err := c.Get(ino)
	if err != nil || in.Removed {
		return nil
	}
	for i := range c.e.flight.Items {
		it := &c.e.flight.Items[i]
		if it.Ino == ino && bytes.Equal(it.Key, n.Key) && it.cameBetween(in.Cloud, n.Handle) {
			return c.Part(ino, cloudOf(n))
		}
	}
	return nil
}

// secondFolder: somebody's folder of that name was taken for ours before ours was heard of, so that the two are one.
// There is nothing in ours then, and it goes again.
func (c *change) secondFolder(made *tree.Cloud) error {
	if _, known := c.ByHandle(made.Handle); !known {
		if err := c.ApplyNode(nodeOf(made), ""); err != nil {
			return err
		}
	}
	ino, known := c.ByHandle(made.Handle)
	if !known {
		return nil
	}
	second, err := c.Get(ino)
	if err != nil || second.Removed || second.Parent == 0 {
		return nil
	}
	if empty, err := c.IsEmptyDir(ino); err != nil || !empty || c.cloudInBin(second.Cloud) {
		return nil
	}
	return c.remove(second)
}

// catchUp lets the inode follow a version that somebody put on top of ours
// before our answer came: it is applied once more, now that nothing here
// stands against it.
func (c *change) catchUp(ino tree.Ino, ours, newer *tree.Cloud) error {
	if err := c.SetCloud(ino, nil); err != nil {
		return err
	}
	if err := c.SetCloud(ino, ours); err != nil {
		return err
	}
	if err := c.ApplyNode(nodeOf(newer), ""); err != nil {
		return err
	}
	version := nodeOf(ours)
	version.Parent, version.Version = newer.Handle, true
	return c.ApplyNode(version, "")
}

// unmade tells whether nothing that was heard shows the node of a creation.
func unmade(in *tree.Inode, it item) bool {
	return in.Cloud == nil || it.Kind == itemFile && !bytes.Equal(in.Cloud.Key, it.Key)
}

// settleUnmade: a full fetch after the answer has told of no such node: others
// have removed it for good. What still differs goes up anew.
func (c *change) settleUnmade(in tree.Inode, it item) error {
	if in.Removed && in.Cloud == nil {
		return c.release(in)
	}
	return c.dropGeneration(it.Ino)
}

// settleOvertaken: the events told of our node, and then that it is another
// inode's older version, or gone. What still differs goes up as a new file.
func (c *change) settleOvertaken(in tree.Inode, it item, st *fileState) error {
	if it.Over != 0 {
		if err := c.letGo(it); err != nil {
			return err
		}
	}
	if in.Removed {
		return c.release(in)
	}
	asSent, err := c.asSent(it, st)
	if err != nil {
		return err
	}
	if top, older := c.IsVersion(it.Found); asSent && older && top != it.Ino && st.writers == 0 {
		// The other file has it as its older version already.
		if err := c.Unlink(it.Ino); err != nil {
			return err
		}
		return c.retire(it.Ino)
	}
	if asSent {
		if done, err := c.followTrashed(in, it, st); done || err != nil {
			return err
		}
	}
	return c.dropGeneration(it.Ino)
}

// asSent tells whether a file has just the content that the command carried.
func (c *change) asSent(it item, st *fileState) (bool, error) {
	g := c.e.queue.generation(it.Ino)
	if st == nil || st.content || it.Copy || g == nil || !bytes.Equal(g.State.Key.Pack(), it.Key) {
		return false, nil
	}
	ent, _, err := c.entry(it.Ino)
	return ent.Content == it.Content, err
}

// followTrashed lets a file follow its node into the bin, where others put it before our answer came. What was written
// here since would go up anew; otherwise it is in the cloud already.
func (c *change) followTrashed(in tree.Inode, it item, st *fileState) (done bool, err error) {
	ino, known := c.ByHandle(it.Found)
	if !known {
		return false, nil
	}
	there, err := c.Get(ino)
	if err != nil || there.Cloud == nil || there.Cloud.Handle != it.Found || there.Pending != 0 || c.e.isOpen(ino) {
		return false, err
	}
	above, err := c.ancestors(ino)
	if err != nil || !slices.Contains(above, tree.BinIno) {
		return false, err
	}
	c.later = append(c.later, func() { c.e.passedWall(it.Ino) })
	return true, c.adopt(in, there, c.e.queue.generation(it.Ino), st)
}

// madeCloud gives the shadow of a creation, from the answer or from what the
// events left.
func (c *change) madeCloud(in tree.Inode, it item, node *megaclient.Node) *tree.Cloud {
	if node != nil {
		return cloudOf(node)
	}
	if in.Cloud != nil && bytes.Equal(in.Cloud.Key, it.Key) {
		return in.Cloud.Clone()
	}
	made := &tree.Cloud{Handle: it.Found, Parent: it.Parent, Name: it.Name, Key: it.Key, Attrs: it.Attrs,
		Type: megaclient.FolderNode, Access: megaclient.AccessOwner}
	if it.Kind == itemFile {
		made.Type, made.Size = megaclient.FileNode, in.Base.Size
		if g := c.e.queue.generation(it.Ino); g != nil {
			made.Size = g.State.Size
		}
	}
	return made
}

// takeOver gives the new file the node that its own replaces, which so becomes
// its older version, and ends that node's inode.
func (c *change) takeOver(it item) error {
	over, err := c.Get(it.Over)
	if err == nil && over.Cloud != nil && over.Cloud.Handle == it.Handle {
		if err := c.SetCloud(it.Ino, over.Cloud); err != nil {
			return err
		}
	}
	return c.letGo(it)
}

// letGo ends the inode whose node became an older version of the new file's.
func (c *change) letGo(it item) error {
	over, err := c.Get(it.Over)
	if isGone(err) {
		return c.settle(it.Over)
	}
	if err != nil {
		return err
	}
	if over.Cloud != nil && over.Cloud.Handle != it.Handle {
		return nil // somebody else's version came: the removal is undone by the planner
	}
	return c.release(over)
}

// release ends a removed inode that has nothing to do with the cloud any more.
func (c *change) release(in tree.Inode) error {
	if in.Cloud != nil {
		if err := c.SetCloud(in.Ino, nil); err != nil {
			return err
		}
	}
	in, err := c.Get(in.Ino)
	if err != nil {
		return err
	}
	in.Pending = 0
	if err := c.Put(&in); err != nil {
		return err
	}
	return c.retire(in.Ino)
}

// settleContent: the generation is the file's base now.
func (c *change) settleContent(in *tree.Inode, it item, made *tree.Cloud, st *fileState) error {
	if it.Copy {
		return c.settleCopy(in, it, made, st)
	}
	g := c.e.queue.generation(it.Ino)
	if g == nil || !bytes.Equal(g.State.Key.Pack(), it.Key) {
		return nil
	}
	in.Base = tree.Base{Handle: made.Handle, Key: it.Key, Size: g.State.Size, Limit: min(g.kept, g.State.Size)}
	ent, _, err := c.entry(it.Ino)
	if err != nil {
		return err
	}
	in.Pending &^= tree.PendingContent
	if ent.Content != it.Content && !in.Removed {
		in.Pending |= tree.PendingContent
	}
	if st != nil {
		if err := c.uncover(st, g, in); err != nil {
			return err
		}
		c.after = append(c.after, func() { g.session.made(made.Handle) })
	}
	return c.dropGeneration(it.Ino)
}

// uncover takes the uploaded extents out of the file's map.
func (c *change) uncover(st *fileState, g *generation, in *tree.Inode) error {
	dropped := st.m.Remove(g.m.Extents())
	c.undo = append(c.undo, func() { st.m.Insert(dropped...) })
	var regions []uint64
	for _, id := range st.m.DirtyRegions() {
		r, fits := inlineRow(rowExtents, st.ino, id, st.m.Region(id))
		if c.uncovered += len(r.value) + 32; !fits || c.uncovered > regionBytes/8 || st.turning { // of all files of the batch
			break // the rest is left to the next commit
		}
		if err := c.storeRegion(r); err != nil {
			return err
		}
		regions = append(regions, id)
	}
	base, pending := in.Base, in.Pending
	base.Limit = min(base.Limit, g.limit) // what was cut off and isn't committed stays so
	c.after = append(c.after, func() {
		st.m.ClearRegions(regions)
		if len(st.m.DirtyRegions()) > 0 || st.dirty {
			st.garbage = append(st.garbage, dropped...)
			st.dirty = true
		} else {
			c.e.staging.Release(dropped...)
		}
		st.base, st.gen = base, nil
		st.marked = pending.Has(tree.PendingContent)
		st.owner.Base = string(base.Handle)
	})
	return nil
}
