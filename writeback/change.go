package writeback

import (
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"megadisk/writeback/tree"
)

// change is one transaction on tree and journal, with what must follow in
// memory once it is committed.
type change struct {
	*tree.Tx
	e            *Engine
	b            *badger.Txn
	touched      map[tree.Ino]*entry // new journal rows; nil: gone
	ended        map[echoID]bool     // echo rows that end
	held         map[echoID]bool     // echo rows for which something was held off
	told         uint64              // number of the last happening written down; 0: none was
	uncovered    int                 // bytes of region rows that answers have changed
	flightMarked bool                // events told something about the batch in flight
	after        []func()            // after the commit, writeMu still held
	undo         []func()            // if it fails, writeMu still held, the last first
	later        []func()            // after the commit, no lock held
}

// update runs one transaction. Nothing in memory changes unless it commits.
func (e *Engine) update(ctx context.Context, fn func(*change) error) error {
	c, err := e.transact(ctx, fn)
	if err != nil {
		return err
	}
	for _, f := range c.later {
		f()
	}
	return nil
}

func (e *Engine) transact(ctx context.Context, fn func(*change) error) (*change, error) {
	e.writeMu.Lock()
	defer e.writeMu.Unlock()
	var c *change
	err := e.tree.Update(ctx, func(tx *tree.Tx) error {
		c = &change{Tx: tx, e: e, b: tx.Badger(), touched: map[tree.Ino]*entry{}, ended: map[echoID]bool{}, held: map[echoID]bool{}}
		return fn(c)
	})
	if err != nil {
		for i := 0; c != nil && i < len(c.undo); i++ {
			c.undo[len(c.undo)-1-i]()
		}
		return nil, err
	}
	e.queue.apply(c.touched, e.whatStays(c.touched))
	for _, f := range c.after {
		f()
	}
	return c, nil
}

// entry reads the journal row of an inode; the zero entry if there is none.
func (c *change) entry(ino tree.Ino) (ent entry, ok bool, err error) {
	if t, touched := c.touched[ino]; touched {
		if t == nil {
			return entry{}, false, nil
		}
		return *t, true, nil
	}
	ok, err = getRow(c.b, inoKey(rowEntry, ino), &ent)
	return ent, ok, err
}

// touch says that the inode was changed here: its journal row is made, or its
// rest begins again. fn may change the row further.
func (c *change) touch(ino tree.Ino, fn func(*entry)) error {
	ent, ok, err := c.entry(ino)
	if err != nil {
		return err
	}
	now := c.e.now().UnixNano()
	if !ok {
		c.e.seq++
		ent = entry{Seq: c.e.seq, Since: now}
	}
	ent.Last = now
	if fn != nil {
		fn(&ent)
	}
	return c.putEntry(ino, ent)
}

func (c *change) putEntry(ino tree.Ino, ent entry) error {
	c.touched[ino] = &ent
	return putRow(c.b, inoKey(rowEntry, ino), ent)
}

// settle drops the journal row: the inode differs in nothing.
func (c *change) settle(ino tree.Ino) error {
	c.touched[ino] = nil
	return c.b.Delete(inoKey(rowEntry, ino))
}

// inFlight tells whether a command for the inode was sent and not answered.
func (c *change) inFlight(ino tree.Ino) bool {
	return c.e.flight != nil && c.e.flight.inos[ino]
}

// bumpDir notes that a directory's entries changed.
func (c *change) bumpDir(ino tree.Ino) error {
	in, err := c.Get(ino)
	if err != nil {
		return err
	}
	in.Mtime, in.Exact = c.e.now().UnixNano(), false
	in.Ctime = in.Mtime
	return c.Put(&in)
}

// retire lets go of a removed inode that isn't in the cloud and has nothing to
// send: its rows go now, or, while a handle or a kernel needs it, later.
func (c *change) retire(ino tree.Ino) error {
	if err := c.settle(ino); err != nil {
		return err
	}
	if err := c.dropGeneration(ino); err != nil {
		return err
	}
	c.after = append(c.after, func() { c.e.forgetSession(ino) })
	if c.e.stillKnown(ino) {
		// A kernel that has forgotten the inode already doesn't say so once more:
		// it is asked.
		c.Note(tree.Change{Ino: ino, Removed: true})
		return c.b.Set(inoKey(rowZombie, ino), []byte{rowVersion})
	}
	return c.bury(ino)
}

// bury removes all rows of an inode.
func (c *change) bury(ino tree.Ino) error {
	if err := c.clearExtents(ino); err != nil {
		return err
	}
	if err := c.b.Delete(inoKey(rowZombie, ino)); err != nil {
		return err
	}
	if err := c.Purge(ino); err != nil && !isGone(err) {
		return fmt.Errorf("removing inode %d: %w", ino, err)
	}
	c.after = append(c.after, func() { c.e.unzombie(ino) })
	return nil
}

// dropExtents removes the staged bytes of a file, unless it is open: then they
// go when that ends.
func (c *change) dropExtents(ino tree.Ino) error {
	if c.e.clearOnceIdle(ino) {
		return nil
	}
	return c.clearExtents(ino)
}
