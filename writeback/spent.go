package writeback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// A new version of ours always keeps the one that it replaces: which one that is
// shows only afterwards. It is spent, and removed later, where the account keeps
// no versions, or when it was made while the file was open here as the new one
// was. MEGA's command asks nothing, so it is sent only once the events have
// said that the spent version lies directly below ours, and while nothing here
// needs its bytes. What somebody else put between them is never touched.

// spentRow says why a version is spent. Its key has the version.
type spentRow struct {
	By   megaclient.Handle `cbor:"1,keyasint"`           // our version that replaced it
	Thin bool              `cbor:"2,keyasint,omitempty"` // both are of one session; else: while the account keeps none
	Seen bool              `cbor:"3,keyasint,omitempty"` // the events said that it lies directly below By
}

type spent map[megaclient.Handle]spentRow

// Whether the account keeps versions.
const (
	versionsUnknown int32 = iota
	versionsKept
	versionsOff
)

// spendAtOnce bounds the versions that one request removes.
const spendAtOnce = 100

// spend notes that the version which a new one has replaced isn't needed.
func (c *change) spend(it item, by megaclient.Handle) error {
	if it.Handle == "" || it.Keep || !it.Thin && c.e.versions.Load() == versionsKept {
		return nil
	}
	if share, err := c.ShareAround(it.Ino); err != nil || share != 0 {
		return err // what is somebody else's is his to thin
	}
	return c.putSpent(it.Handle, spentRow{By: by, Thin: it.Thin, Seen: it.Under})
}

func (c *change) putSpent(h megaclient.Handle, row spentRow) error {
	c.after = append(c.after, func() {
		c.e.spent[h] = row
		poke(c.e.spendSoon)
	})
	return putRow(c.b, stringKey(rowSpent, string(h)), row)
}

func (c *change) unspend(h megaclient.Handle) error {
	c.after = append(c.after, func() { delete(c.e.spent, h) })
	return c.b.Delete(stringKey(rowSpent, string(h)))
}

// noteVersion: the events say which version lies below which.
func (c *change) noteVersion(n *megaclient.Node) error {
	if f := c.e.flight; f != nil {
		for i := range f.Items {
			if it := &f.Items[i]; it.Found != "" && it.Handle == n.Handle {
				c.mark(it, func() { it.Under = it.Found == n.Parent })
			}
		}
	}
	row, ok := c.e.spent[n.Handle]
	switch {
	case !ok:
		return nil
	case row.By != n.Parent:
		return c.unspend(n.Handle) // something came in between
	}
	row.Seen = true
	return c.putSpent(n.Handle, row)
}

// versionsLoop asks for the account's setting: at the start, and when it may
// have changed.
func (e *Engine) versionsLoop(ctx context.Context) {
	for {
		kept, err := e.client.KeepsVersions(ctx)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				e.trouble(err)
			}
		case kept:
			e.versions.Store(versionsKept)
		default:
			e.versions.Store(versionsOff)
		}
		poke(e.spendSoon)
		var again <-chan time.Time
		if err != nil {
			again = time.After(e.times.RetryMax)
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-e.askVersions:
		}
	}
}

// spendSome removes what may be removed now; left: there is more that can't go yet.
func (e *Engine) spendSome(ctx context.Context) (left bool, err error) {
	for {
		e.writeMu.Lock()
		any := len(e.spent) > 0
		e.writeMu.Unlock()
		if !any || e.queue.whyHalted() != nil {
			return any, nil
		}
		n, err := e.spendOnce(ctx)
		if n == 0 || err != nil {
			return true, err
		}
	}
}

// spendOnce sends one request, and tells how many versions are done with.
func (e *Engine) spendOnce(ctx context.Context) (n int, err error) {
	if !e.enterLane(ctx) {
		return 0, ctx.Err()
	}
	defer e.leaveLane()
	if e.hasFlight() {
		return 0, nil
	}
	remove, forget, err := e.spendable()
	if err != nil {
		return 0, err
	}
	if len(remove) > 0 {
		gone, err := e.removeVersions(ctx, remove)
		if err != nil {
			return 0, err
		}
		remove = gone
	}
	err = e.update(ctx, func(c *change) error {
		for _, h := range remove {
			if err := c.ApplyRemove(h, false); err != nil {
				return err
			}
			if err := c.unspend(h); err != nil {
				return err
			}
		}
		for _, h := range forget {
			if err := c.unspend(h); err != nil {
				return err
			}
		}
		return c.finishEvents()
	})
	return len(remove) + len(forget), err
}

// spendable lists what may be removed, and what needn't be thought of any more.
func (e *Engine) spendable() (remove, forget []megaclient.Handle, err error) {
	needed := e.openVersions()
	dirty := e.queue.all()
	kept := e.versions.Load()
	err = e.tree.View(func(tx *tree.Tx) error {
		for _, ino := range dirty {
			in, err := tx.Get(ino)
			if err != nil && !isGone(err) {
				return err // what it needs isn't known, and what is removed is gone for good
			}
			needed[in.Base.Handle] = true // for what is yet to be uploaded
		}
		e.writeMu.Lock()
		defer e.writeMu.Unlock()
		below := map[megaclient.Handle]bool{} // spent ones with another below: that one goes first
		for _, row := range e.spent {
			below[row.By] = true
		}
		for h, row := range e.spent {
			above, err := versionAbove(tx, h)
			if err != nil {
				return err
			}
			elsewhere := above != row.By && (above != "" || row.Seen)
			switch {
			case len(forget) == rowsAtOnce:
				return nil // they come next
			case !row.Thin && kept == versionsKept, elsewhere, !isKnown(tx, row.By):
				forget = append(forget, h)
			case !row.Seen, !row.Thin && kept == versionsUnknown, needed[h], below[h]:
			case len(remove) < spendAtOnce:
				remove = append(remove, h)
			}
		}
		return nil
	})
	return remove, forget, err
}

// versionAbove gives the version that replaced a node, by what was heard; ""
// if the node is no older version.
func versionAbove(tx *tree.Tx, h megaclient.Handle) (megaclient.Handle, error) {
	ino, is := tx.IsVersion(h)
	if !is {
		return "", nil
	}
	list, err := tx.Versions(ino)
	for _, v := range list {
		if v.Handle == h {
			return v.Parent, err
		}
	}
	return "", err
}

func isKnown(tx *tree.Tx, h megaclient.Handle) bool {
	_, known := tx.ByHandle(h)
	return known
}

// removeVersions removes versions, each without those below it, and gives those
// that are gone.
func (e *Engine) removeVersions(ctx context.Context, list []megaclient.Handle) (done []megaclient.Handle, err error) {
	ops := make([]megaclient.Op, len(list))
	for i, h := range list {
		ops[i] = megaclient.RemoveNode{Node: h, KeepVersions: true}
	}
	batch, err := e.client.Prepare(ops...)
	if err != nil {
		return nil, err
	}
	results, err := e.client.Execute(ctx, batch)
	if err != nil {
		return nil, fmt.Errorf("removing older versions: %w", err)
	}
	for i, r := range results {
		if r.Err == nil || errors.Is(r.Err, megaclient.ENOENT) {
			done = append(done, list[i])
		}
	}
	return done, nil
}

// replaySpent reads what the last run left.
func (e *Engine) replaySpent(b *badger.Txn) error {
	return scanRows(b, []byte{rowPrefix, rowSpent}, func(key, raw []byte) error {
		var row spentRow
		if err := decodeRow(raw, &row); err != nil {
			return fmt.Errorf("row of a spent version: %w", err)
		}
		e.spent[megaclient.Handle(key[2:])] = row
		return nil
	})
}
