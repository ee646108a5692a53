package writeback

import (
	"context"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// With Options.PermanentDelete, what is removed here goes to the bin like
// everything else; then exactly those nodes that went with it, as they were
// known here when the command was sent, are deleted for good, one by one and
// from the leaves up. MEGA's command deletes all that is below a node, and asks
// nothing: so each is deleted only while it lies where our move put it, and a
// folder only when it is empty. What somebody else put there, brought back, or
// moved to the bin himself is never touched.

// doomedRow says that a node may be deleted for good. Its key has the node that
// was moved to the bin, and the node itself.
type doomedRow struct {
	Parent megaclient.Handle `cbor:"1,keyasint,omitempty"` // where it lay; of the one moved: the bin
	Moved  bool              `cbor:"2,keyasint,omitempty"` // of the one moved: our packet said that it is there
}

// doomed is one move to the bin, and what went with it.
type doomed struct {
	moved   bool
	nodes   map[megaclient.Handle]megaclient.Handle // and where they lay
	kids    map[megaclient.Handle]int               // of those, how many lay in each
	ordered map[megaclient.Handle]bool              // their deletion is journaled
}

// dooms is all of them, by the node moved. Only the sender adds, and only the
// planner's goroutine works on them; both hold writeMu.
type dooms map[megaclient.Handle]*doomed

func doomedKey(top, node megaclient.Handle) []byte {
	return stringKey(rowDoomed, string(top)+string(node))
}

func (d dooms) add(top, node megaclient.Handle, row doomedRow) {
	at := d[top]
	if at == nil {
		at = &doomed{nodes: map[megaclient.Handle]megaclient.Handle{}, kids: map[megaclient.Handle]int{},
			ordered: map[megaclient.Handle]bool{}}
		d[top] = at
	}
	if _, known := at.nodes[node]; !known {
		at.nodes[node] = row.Parent
		at.kids[row.Parent]++
	}
	at.moved = at.moved || row.Moved
}

func (d *doomed) remove(node megaclient.Handle) {
	parent, known := d.nodes[node]
	if !known {
		return
	}
	delete(d.nodes, node)
	delete(d.ordered, node)
	if d.kids[parent]--; d.kids[parent] == 0 {
		delete(d.kids, parent)
	}
}

// doom stores, before a removal is sent, what it is about to take away.
func (e *Engine) doom(ctx context.Context, tasks []task) error {
	if !e.opts.PermanentDelete {
		return nil
	}
	for _, t := range tasks {
		if t.step != stepTrash {
			continue
		}
		top, err := e.tree.Get(t.ino)
		if err != nil || top.Cloud == nil {
			continue // it is decided anew
		}
		below, err := e.removedBelow(top.Cloud.Handle)
		if err != nil {
			return err
		}
		if err := e.storeDoomed(ctx, top.Cloud.Handle, append(below, t.ino), true); err != nil {
			return fmt.Errorf("storing what is to be deleted: %w", err)
		}
	}
	return nil
}

// storeDoomed stores what goes with a node; removed: only what was removed here.
func (e *Engine) storeDoomed(ctx context.Context, top megaclient.Handle, inos []tree.Ino, removed bool) error {
	for len(inos) > 0 {
		n := min(len(inos), rowsAtOnce)
		err := e.update(ctx, func(c *change) error {
			bin, err := c.Get(tree.BinIno)
			if err != nil {
				return err
			}
			for _, ino := range inos[:n] {
				in, err := c.Get(ino)
				ent, _, eerr := c.entry(ino)
				if err != nil || eerr != nil || in.Cloud == nil || in.Removed != removed {
					continue
				}
				if removed && ent.RemovedAs != in.Cloud.Handle && in.Kind == tree.File {
					continue
				}
				node, row := in.Cloud.Handle, doomedRow{Parent: in.Cloud.Parent}
				if node == top && bin.Cloud != nil {
					row.Parent = bin.Cloud.Handle
				}
				if err := putRow(c.b, doomedKey(top, node), row); err != nil {
					return err
				}
				c.after = append(c.after, func() { c.e.dooms.add(top, node, row) })
			}
			return nil
		})
		if err != nil {
			return err
		}
		inos = inos[n:]
	}
	return nil
}

// pardon: somebody else moved a node, so it isn't ours to delete any more.
func (c *change) pardon(node megaclient.Handle) error {
	for top, at := range c.e.dooms {
		if _, doomed := at.nodes[node]; !doomed {
			continue
		}
		if err := c.b.Delete(doomedKey(top, node)); err != nil {
			return err
		}
		c.after = append(c.after, func() { at.remove(node) })
	}
	return nil
}

// doomMoved: our own packet says that the node is in the bin by our command, so
// what is stored holds. An answer wouldn't do: moving what somebody else has
// just moved there is no error.
func (c *change) doomMoved(top megaclient.Handle) error {
	at := c.e.dooms[top]
	if at == nil || at.nodes[top] == "" {
		return nil
	}
	c.after = append(c.after, func() { at.moved = true })
	return putRow(c.b, doomedKey(top, top), doomedRow{Parent: at.nodes[top], Moved: true})
}

// doomPause is the least time between two looks at what is doomed.
const doomPause = 100 * time.Millisecond

// execute journals the deletion of what is doomed and has come to the bin. It
// gives the time of the next look, zero if nothing is left.
func (e *Engine) execute(ctx context.Context, now time.Time) (next time.Time, err error) {
	e.writeMu.Lock()
	var tops []megaclient.Handle
	for top, at := range e.dooms {
		if at.moved {
			tops = append(tops, top)
		}
	}
	e.writeMu.Unlock()
	if len(tops) == 0 {
		return time.Time{}, nil
	}
	if now.Before(e.nextDoom) {
		return e.nextDoom, nil
	}
	open := e.openVersions()
	for _, top := range tops {
		err := e.update(ctx, func(c *change) error { return c.executeBelow(top, open) })
		if err != nil {
			return now.Add(e.times.RetryFirst), fmt.Errorf("deleting for good: %w", err)
		}
	}
	e.nextDoom = e.now().Add(doomPause)
	return e.nextDoom, nil
}

// executeBelow does so for one move, some hundred nodes at a time.
func (c *change) executeBelow(top megaclient.Handle, open map[megaclient.Handle]bool) error {
	at := c.e.dooms[top]
	if at == nil || c.awaited(top, fieldPlace) {
		return nil // its echo is still to come
	}
	done := 0
	for node, parent := range at.nodes {
		if at.kids[node] > 0 || open[node] {
			continue
		}
		ordered, wait, err := c.mayDelete(node, parent)
		if err != nil {
			return err
		}
		switch {
		case wait:
			continue
		case ordered:
			c.after = append(c.after, func() { at.ordered[node] = true })
		default:
			if err := c.b.Delete(doomedKey(top, node)); err != nil {
				return err
			}
			c.after = append(c.after, func() { at.remove(node) })
		}
		if done++; done >= rowsAtOnce/4 {
			return nil
		}
	}
	c.after = append(c.after, func() {
		if len(at.nodes) == 0 {
			delete(c.e.dooms, top)
		}
	})
	return nil
}

// mayDelete journals the deletion of a node if it lies where our move put it;
// wait: that is journaled already. Neither: there is nothing to delete, or it
// isn't ours to delete any more.
func (c *change) mayDelete(node, parent megaclient.Handle) (ordered, wait bool, err error) {
	ino, known := c.ByHandle(node)
	if !known {
		// What came into its folder meanwhile has been heard of when the packet of its end has come.
		return false, c.awaited(node, fieldGone), nil
	}
	in, err := c.Get(ino)
	if isGone(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	if in.Removed {
		ent, _, err := c.entry(ino)
		return false, ent.ForGood, err
	}
	if in.Cloud == nil || in.Cloud.Handle != node || in.Cloud.Parent != parent || in.Pending != 0 || !c.below(ino, tree.BinIno) {
		return false, false, nil
	}
	if in.Kind == tree.Dir {
		if empty, err := c.IsEmptyDir(ino); err != nil || !empty {
			return false, false, err
		}
	}
	if err := c.Unlink(ino); err != nil {
		return false, false, err
	}
	return true, false, c.touch(ino, func(ent *entry) { ent.RemovedAs, ent.ForGood = node, true })
}

// below tells whether an inode hangs below another.
func (c *change) below(ino, top tree.Ino) bool {
	for range 4096 {
		if ino == top {
			return true
		}
		in, err := c.Get(ino)
		if err != nil || in.Parent == ino || in.Removed {
			return false
		}
		ino = in.Parent
	}
	return false
}

// openVersions gives the versions that handles here may still read.
func (e *Engine) openVersions() map[megaclient.Handle]bool {
	e.filesMu.Lock()
	states := make([]*fileState, 0, len(e.files))
	for _, st := range e.files {
		states = append(states, st)
	}
	e.filesMu.Unlock()
	open := map[megaclient.Handle]bool{}
	for _, st := range states {
		st.mu.Lock()
		open[st.base.Handle] = true
		st.mu.Unlock()
	}
	return open
}

// replayDooms reads what the last run left.
func (e *Engine) replayDooms(b *badger.Txn) error {
	return scanRows(b, []byte{rowPrefix, rowDoomed}, func(key, raw []byte) error {
		var row doomedRow
		if err := decodeRow(raw, &row); err != nil {
			return fmt.Errorf("row of what is to be deleted: %w", err)
		}
		const handles = 2 + 8 + 8
		if len(key) == handles {
			e.dooms.add(megaclient.Handle(key[2:10]), megaclient.Handle(key[10:]), row)
		}
		return nil
	})
}

// dropUnmoved forgets what was to be deleted with moves that were never made,
// or without the option that said so.
func (e *Engine) dropUnmoved(ctx context.Context) error {
	for top, at := range e.dooms {
		if (e.opts.PermanentDelete || e.opts.PurgeTrash) && (at.moved || e.flight.moves(itemTrash, top) || len(e.echoes[top]) > 0) {
			continue
		}
		for len(at.nodes) > 0 {
			err := e.update(ctx, func(c *change) error {
				n := 0
				for node := range at.nodes {
					if err := c.b.Delete(doomedKey(top, node)); err != nil {
						return err
					}
					c.after = append(c.after, func() { at.remove(node) })
					if n++; n >= rowsAtOnce {
						break
					}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("dropping what is not to be deleted: %w", err)
			}
		}
		delete(e.dooms, top)
	}
	return nil
}

// moves tells whether the batch has such a move of a node: itemMove or itemTrash.
func (f *flight) moves(kind itemKind, node megaclient.Handle) bool {
	if f == nil {
		return false
	}
	for i := range f.Items {
		if f.Items[i].Kind == kind && f.Items[i].Handle == node {
			return true
		}
	}
	return false
}
