package writeback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// outcome is what became of one command.
type outcome struct {
	done bool             // it was executed
	err  error            // it was refused
	node *megaclient.Node // of creations, from the answer
	// guessed: it looks as if it was executed, but no packet of ours said so.
	guessed bool
	// heard: all that the server has to say of it has come, by packets or by a full fetch, with what others did after it.
	// Nothing is to be held off any more.
	heard bool
}

// acknowledge applies the answer of the batch in flight. fetched: a full fetch
// was made since it came. ErrUncertain: the answer doesn't say what became of a
// creation.
func (e *Engine) acknowledge(ctx context.Context, results []megaclient.Result, fetched bool) error {
	f, items := e.currentFlight()
	if f == nil {
		return nil
	}
	if len(results) != len(items) {
		return fmt.Errorf("%d results for %d commands: %w", len(results), len(items), megaclient.ErrUncertain)
	}
	outcomes := make([]outcome, len(results))
	for i, r := range results {
		it := &items[i]
		o := outcome{done: r.Err == nil, err: r.Err}
		if o.err == nil && len(r.NodeErrs) > 0 {
			o.done, o.err = false, r.NodeErrs[0]
		}
		if errors.Is(o.err, megaclient.ErrUncertain) {
			return o.err
		}
		if it.removes() && errors.Is(o.err, megaclient.ENOENT) {
			o = outcome{done: true} // gone already
		}
		if len(it.Key) > 0 && o.done {
			if o.node = nodeByKey(r.Nodes, it.Key); o.node == nil {
				return fmt.Errorf("an answer without the node: %w", megaclient.ErrUncertain)
			}
		}
		o.heard = o.done && fetched
		outcomes[i] = o
	}
	return e.settleBatch(ctx, f, items, outcomes)
}

// currentFlight gives the batch without an answer, nil if there is none, and a
// copy of its items: the event loop marks them.
func (e *Engine) currentFlight() (*flight, []item) {
	e.writeMu.Lock()
	defer e.writeMu.Unlock()
	if e.flight == nil {
		return nil, nil
	}
	return e.flight, slices.Clone(e.flight.Items)
}

func (e *Engine) hasFlight() bool {
	f, _ := e.currentFlight()
	return f != nil
}

func nodeByKey(nodes []*megaclient.Node, key []byte) *megaclient.Node {
	for _, n := range nodes {
		if bytes.Equal(n.Key, key) {
			return n
		}
	}
	return nil
}

// removes tells whether the item takes something away.
func (it *item) removes() bool { return it.Kind == itemTrash || it.Kind == itemDelete }

// settleBatch applies the outcomes and ends the flight, in one transaction.
func (e *Engine) settleBatch(ctx context.Context, f *flight, items []item, outcomes []outcome) error {
	for i, it := range items {
		if it.removes() && outcomes[i].done {
			e.removals.Lock()
			defer e.removals.Unlock()
			break
		}
	}
	for i, it := range items {
		if it.removes() && outcomes[i].done {
			if err := e.forgetBelow(ctx, it); err != nil {
				return err
			}
		}
	}
	states, unlock, err := e.lockFiles(items)
	if err != nil {
		return err
	}
	c, err := e.transact(ctx, func(c *change) error {
		for i := range f.Items {
			// The event loop may have marked items since: f.Items is its to change.
			it := f.Items[i]
			it.Echoed = it.Echoed || outcomes[i].heard
			if err := c.settleItem(f, i, it, outcomes[i], states[it.Ino]); err != nil {
				return fmt.Errorf("applying an answer: %w", err)
			}
		}
		c.later = append(c.later, e.status.wantQuota, func() { e.tellUploaded(items, outcomes) })
		c.after = append(c.after, func() {
			e.flight = nil
			poke(e.keysSoon)
			e.setKeys(f.Items, false)
			e.ownTags(-1, f.Batch.Tags...)
			e.queue.setSending(f.list(), false)
			for i := range f.Items {
				if outcomes[i].done {
					e.queue.acknowledged(f.Items[i], f.at)
				}
			}
		})
		return c.b.Delete(stringKey(rowBatch, f.Batch.ID))
	})
	unlock()
	if err != nil {
		return err
	}
	for _, do := range c.later { // some want the planner's lock, which comes before those of files
		do()
	}
	failpoint("acknowledged")
	return nil
}

// tellUploaded tells who wants to know which files are in the cloud now.
func (e *Engine) tellUploaded(items []item, outcomes []outcome) {
	for i := range items {
		if e.opts.Uploaded != nil && outcomes[i].done && items[i].Kind == itemFile {
			e.opts.Uploaded(items[i].Ino)
		}
	}
}

// lockFiles pins and locks the state of every file in the batch, in the order
// of their numbers.
func (e *Engine) lockFiles(items []item) (map[tree.Ino]*fileState, func(), error) {
	states := map[tree.Ino]*fileState{}
	var order []tree.Ino
	for _, it := range items {
		if it.Kind == itemFile && states[it.Ino] == nil {
			st, err := e.pinEvenClosed(it.Ino)
			if err != nil && !isGone(err) {
				for _, ino := range order {
					e.unpin(states[ino])
				}
				return nil, nil, err
			}
			if st != nil {
				states[it.Ino] = st
				order = append(order, it.Ino)
			}
		}
	}
	slices.Sort(order)
	for _, ino := range order {
		states[ino].mu.Lock()
	}
	return states, func() {
		for _, ino := range order {
			states[ino].mu.Unlock()
		}
		for _, ino := range order {
			e.unpin(states[ino])
		}
	}, nil
}

// settleItem applies one outcome.
func (c *change) settleItem(f *flight, i int, it item, o outcome, st *fileState) error {
	if !o.done {
		if o.err == nil || (it.Kind == itemAttrs && c.partOfTrash(f, i)) {
			return nil
		}
		why := o.err
		if it.Kind == itemFile && errors.Is(o.err, megaclient.ENOENT) {
			// The storage lost the upload, or the folder went: the bytes are
			// sent again, under the same key since they are the same.
			c.resetUpload(it.Ino)
			if ent, _, err := c.entry(it.Ino); err == nil && ent.Attempts == 0 {
				why = errUploadLost
			}
		}
		if it.Copy {
			// Perhaps the source is gone, and its bytes are here.
			ent, ok, err := c.entry(it.Ino)
			if err != nil || !ok {
				return err
			}
			ent.NoCopy = true
			if err := c.putEntry(it.Ino, ent); err != nil {
				return err
			}
		}
		return c.refuse(it.Ino, why, false)
	}
	if it.Kind == itemTrash && it.Echoed && !o.guessed {
		if err := c.doomMoved(it.Handle); err != nil {
			return err
		}
	}
	in, err := c.Get(it.Ino)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.tellSettled(f, i, &in, it); err != nil {
		return err
	}
	tag := f.Batch.Tags[i]
	switch it.Kind {
	case itemFolder, itemFile:
		if o.heard && it.Found == "" && unmade(&in, it) {
			return c.settleUnmade(in, it)
		}
		return c.settleCreation(in, it, o.node, tag, st)
	case itemAttrs:
		return c.settleAttrs(in, it, tag)
	case itemMove:
		return c.settleMove(in, it, tag)
	default:
		if o.heard && c.takenOut(&in, it) {
			return c.putBack(in, it)
		}
		return c.settleRemoval(in, it, tag)
	}
}

// takenOut tells whether a full fetch shows a node elsewhere than in the bin, where we had put it before.
func (c *change) takenOut(in *tree.Inode, it item) bool {
	return it.Kind == itemTrash && in.Removed && in.Cloud != nil && in.Cloud.Handle == it.Handle && in.Cloud.Parent != it.Parent
}

// putBack lets what others took out of the bin be where they put it, as if the packet of our move had come before theirs.
func (c *change) putBack(in tree.Inode, it item) error {
	theirs, ours := in.Cloud.Clone(), in.Cloud.Clone()
	ours.Parent = it.Parent
	if err := c.SetCloud(in.Ino, ours); err != nil {
		return err
	}
	return c.ApplyNode(nodeOf(theirs), "")
}

// partOfTrash tells whether the attributes only accompany a move to the bin.
func (c *change) partOfTrash(f *flight, i int) bool {
	if i+1 >= len(f.Items) || f.Items[i+1].Ino != f.Items[i].Ino {
		return false
	}
	next := f.Items[i+1]
	return next.Kind == itemTrash || next.Kind == itemMove && c.isBin(next.Parent)
}

// settleAttrs: the cloud has the attributes that were sent.
func (c *change) settleAttrs(in tree.Inode, it item, tag string) error {
	if in.Cloud == nil || in.Cloud.Handle != it.Handle {
		return nil // a newer version took its place
	}
	if !it.Echoed {
		theirs, shadow := in.Cloud.Attrs, in.Cloud.Clone()
		shadow.Attrs = it.Attrs
		shadow.Name, _ = it.Attrs.String("n")
		if err := c.SetCloud(it.Ino, shadow); err != nil {
			return err
		}
		if err := c.addEcho(it.Handle, tag, fieldAttrs); err != nil {
			return err
		}
		if err := c.owe(it.Ino, theirs, it.Set, false); err != nil {
			return err
		}
	}
	return c.settlePlace(it)
}

// settleMove: the node is in the folder that was sent.
func (c *change) settleMove(in tree.Inode, it item, tag string) error {
	if in.Cloud == nil || in.Cloud.Handle != it.Handle {
		return nil
	}
	if !it.Echoed {
		shadow := in.Cloud.Clone()
		shadow.Parent = it.Parent
		if err := c.SetCloud(it.Ino, shadow); err != nil {
			return err
		}
		if err := c.addEcho(it.Handle, tag, fieldPlace); err != nil {
			return err
		}
	}
	return c.settlePlace(it)
}

// settlePlace clears what no longer differs after a name or place was sent.
func (c *change) settlePlace(it item) error {
	in, err := c.Get(it.Ino)
	if err != nil {
		return err
	}
	if in.Removed {
		return nil
	}
	follow := false
	if in.Pending.Has(tree.PendingPlace) {
		differs, err := c.placeDiffers(&in)
		if err != nil {
			return err
		}
		unchanged := in.Parent == it.LocalParent && in.Name == it.LocalName
		// Another client was faster after us: its name or place is newer.
		follow = it.Echoed && differs && unchanged && c.overtaken(&in, it)
		if !differs || follow {
			in.Pending &^= tree.PendingPlace
		}
	} else if !in.Pending.Has(tree.PendingCreate) {
		// It has yielded to somebody's place meanwhile, which was older than ours.
		if follow, err = c.placeDiffers(&in); err != nil {
			return err
		}
	}
	if in.Pending.Has(tree.PendingAttrs) {
		reviewAttrs(&in)
	}
	if arrived(&in, it) {
		at := c.e.flight.at
		c.after = append(c.after, func() { c.e.queue.placed(it.Ino, at) })
	}
	if err := c.finish(in, it); err != nil || !follow {
		return err
	}
	return c.ApplyNode(nodeOf(in.Cloud), "")
}

// arrived tells whether the node is where the item says it was here, and
// differs in nothing but what came after.
func arrived(in *tree.Inode, it item) bool {
	later := tree.PendingPlace
	if it.Kind == itemAttrs {
		later |= tree.PendingAttrs // it brought all that there were
	}
	return in.Cloud != nil && in.Cloud.Parent == it.Parent && in.Cloud.Name == it.Name && in.Pending&^later == 0
}

// overtaken tells whether the shadow's field isn't what was sent.
func (c *change) overtaken(in *tree.Inode, it item) bool {
	if it.Kind == itemMove {
		return in.Cloud.Parent != it.Parent
	}
	return in.Cloud.Name != it.Name
}

// placeDiffers compares the local place with the shadow's.
func (c *change) placeDiffers(in *tree.Inode) (bool, error) {
	parent, err := c.Get(in.Parent)
	if err != nil {
		return true, err
	}
	return parent.Cloud == nil || parent.Cloud.Handle != in.Cloud.Parent || in.RawName() != in.Cloud.Name, nil
}

// settleRemoval: the node is in the bin, or gone.
func (c *change) settleRemoval(in tree.Inode, it item, tag string) error {
	if in.Cloud != nil && in.Cloud.Handle != it.Handle {
		return nil
	}
	if !it.Echoed {
		fields := []field{fieldPlace}
		if it.Kind == itemDelete {
			fields = []field{fieldGone}
		}
		if err := c.addEcho(it.Handle, tag, fields...); err != nil {
			return err
		}
	}
	if !in.Removed {
		return nil
	}
	return c.release(in)
}

// finish writes the row and drops or renews the journal row.
func (c *change) finish(in tree.Inode, it item) error {
	if in.Removed {
		in.Pending = tree.PendingRemove
	}
	if err := c.Put(&in); err != nil {
		return err
	}
	ent, ok, err := c.entry(in.Ino)
	if err != nil || !ok {
		return err
	}
	if in.Pending == 0 {
		return c.settle(in.Ino)
	}
	if (ent.RemovedAs == "" || ent.RemovedAs == it.Handle) && in.Removed && in.Cloud != nil {
		ent.RemovedAs = in.Cloud.Handle // the version that was sent is the one removed, also if it had no handle then
	}
	ent.Since = ent.Last
	ent.Reason, ent.Code, ent.Attempts, ent.Retry = "", 0, 0, 0
	return c.putEntry(in.Ino, ent)
}

// cloudInBin tells whether the server put the node into the bin.
func (c *change) cloudInBin(cloud *tree.Cloud) bool {
	return cloud != nil && c.isBin(cloud.Parent)
}

func (c *change) isBin(h megaclient.Handle) bool {
	bin, err := c.Get(tree.BinIno)
	return err == nil && bin.Cloud != nil && h == bin.Cloud.Handle
}
