package writeback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

const (
	binBatch = 200              // removals in one request
	binWait  = 30 * time.Second // for the event stream to say that nothing is new
)

// BinEntry is what lies at the top of the bin.
type BinEntry struct {
	tree.Inode
	Since time.Time // in the bin at least since then: when this state heard of it
	From  string    // path of the folder that it was in; "" if that is unknown or gone
}

// Bin lists what lies at the top of the bin.
func (e *Engine) Bin() (list []BinEntry, err error) {
	err = e.tree.View(func(tx *tree.Tx) error {
		rows, err := tx.ReadDir(tree.BinIno, "", 0)
		for _, in := range rows {
			entry := BinEntry{Inode: in, Since: time.Unix(0, in.Ctime)}
			if _, path, ok := origin(tx, &in); ok {
				entry.From = path
			}
			list = append(list, entry)
		}
		return err
	})
	return list, err
}

// origin is the folder that something in the bin was in, if it is still there.
func origin(tx *tree.Tx, in *tree.Inode) (tree.Ino, string, bool) {
	if in.Cloud == nil {
		return 0, "", false
	}
	h, _ := in.Cloud.Attrs.String("rr")
	dir, ok := tx.ByHandle(megaclient.Handle(h))
	if !ok || tx.MayCreate(dir) != nil {
		return 0, "", false
	}
	up := dir
	for depth := 0; up != 0 && depth < 4096; depth++ {
		if up == tree.BinIno {
			return 0, "", false
		}
		row, err := tx.Get(up)
		if err != nil || row.Kind != tree.Dir {
			return 0, "", false
		}
		up = row.Parent
	}
	path, err := tx.Path(dir)
	return dir, path, err == nil
}

// RestoreFromBin moves what has that name in the bin back to where it was, or
// to the top of the drive if that is gone; into a folder, if one is given. It
// gives the new path. Errors: tree.ErrNotFound, tree.ErrExist, and those of
// Rename.
func (e *Engine) RestoreFromBin(ctx context.Context, name string, to tree.Ino) (string, error) {
	in, err := e.tree.Lookup(tree.BinIno, name)
	if err != nil {
		return "", err
	}
	if to == 0 {
		to = tree.DriveIno
		err := e.tree.View(func(tx *tree.Tx) error {
			if dir, _, ok := origin(tx, &in); ok {
				to = dir
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	if err := e.Rename(ctx, tree.BinIno, name, to, name, true); err != nil {
		return "", err
	}
	path, err := e.tree.Path(in.Ino)
	if err == nil {
		e.note(ctx, Happening{What: Restored, Path: path, More: "from the bin"})
	}
	return path, err
}

// EmptyBin removes for good what is in the bin since before a moment, and tells
// how many entries of its top that were. What somebody moved out of it, as far
// as the server had told when it was asked for that, stays, and so does what
// holds something of which a change was made here that is still to be sent.
func (e *Engine) EmptyBin(ctx context.Context, before time.Time) (gone int, err error) {
	wait, cancel := context.WithTimeout(ctx, binWait)
	defer cancel()
	if !e.stream.waitCurrent(wait, e.now()) {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, megaclient.ErrUnreachable
	}
	if !e.enterLane(ctx) {
		return 0, ctx.Err()
	}
	defer e.leaveLane()
	for tried := map[megaclient.Handle]bool{}; err == nil; {
		var nodes, done []megaclient.Handle
		if nodes, err = e.binNodes(before, tried); len(nodes) == 0 || err != nil {
			break
		}
		if done, err = e.removeForGood(ctx, nodes); len(done) > 0 {
			err = errors.Join(err, e.update(ctx, func(c *change) error {
				for _, h := range done {
					if err := c.ApplyRemove(h, false); err != nil {
						return err
					}
				}
				return c.finishEvents()
			}))
		}
		gone += len(done)
	}
	return gone, err
}

// binNodes lists, for one request, nodes at the bin's top that are there since
// before a moment, and of which, and below which, nothing was changed here. It
// looks anew each time: what somebody takes out while others go is not among them.
func (e *Engine) binNodes(before time.Time, tried map[megaclient.Handle]bool) (list []megaclient.Handle, err error) {
	err = e.tree.View(func(tx *tree.Tx) error {
		bin, err := tx.Get(tree.BinIno)
		if err != nil || bin.Cloud == nil {
			return err
		}
		held, err := e.holding(tx)
		if err != nil {
			return err
		}
		for after := ""; ; {
			rows, err := tx.ReadDir(tree.BinIno, after, 1000)
			if err != nil || len(rows) == 0 {
				return err
			}
			for _, in := range rows {
				if len(list) == binBatch {
					return nil
				}
				if in.Cloud != nil && in.Cloud.Parent == bin.Cloud.Handle && in.Pending == 0 && !held[in.Cloud.Handle] &&
					in.Ctime < before.UnixNano() && !tried[in.Cloud.Handle] {
					list = append(list, in.Cloud.Handle)
					tried[in.Cloud.Handle] = true
				}
				after = in.Name
			}
		}
	})
	return list, err
}

// holding gives the nodes of which something was changed here, and all above them in the cloud: until that is sent, the
// server has what was moved out of a folder in that folder still, and what is to be copied in its source.
func (e *Engine) holding(tx *tree.Tx) (map[megaclient.Handle]bool, error) {
	held := map[megaclient.Handle]bool{}
	for _, ino := range e.queue.all() {
		in, err := tx.Get(ino)
		if isGone(err) || err == nil && in.Removed {
			continue
		}
		if err != nil {
			return nil, err
		}
		h := in.Base.Handle
		if in.Cloud != nil {
			h = in.Cloud.Handle
		}
		if err := holdUp(tx, h, held); err != nil {
			return nil, err
		}
	}
	return held, nil
}

// holdUp adds a node and all above it.
func holdUp(tx *tree.Tx, h megaclient.Handle, held map[megaclient.Handle]bool) error {
	for h != "" && !held[h] {
		held[h] = true
		ino, known := tx.ByHandle(h)
		if !known {
			return nil
		}
		in, err := tx.Get(ino)
		if isGone(err) || err == nil && in.Cloud == nil {
			return nil
		}
		if err != nil {
			return err
		}
		h = in.Cloud.Parent
	}
	return nil
}

// removeForGood removes nodes, and tells which of them are gone.
func (e *Engine) removeForGood(ctx context.Context, nodes []megaclient.Handle) (gone []megaclient.Handle, err error) {
	ops := make([]megaclient.Op, len(nodes))
	for i, h := range nodes {
		ops[i] = megaclient.RemoveNode{Node: h}
	}
	batch, err := e.client.Prepare(ops...)
	if err != nil {
		return nil, err
	}
	results, err := e.client.Execute(ctx, batch)
	if err != nil {
		return nil, fmt.Errorf("emptying the bin: %w", err)
	}
	for i, r := range results {
		if r.Err == nil || errors.Is(r.Err, megaclient.ENOENT) {
			gone = append(gone, nodes[i])
		} else {
			err = fmt.Errorf("emptying the bin: %w", r.Err)
		}
	}
	return gone, err
}
