package writeback

import (
	"context"
	"errors"
	"fmt"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// Who is in a share reads what lies there by keys that are encrypted for the share. When we move a folder into one, the
// command brings the keys of all that we know below it. What others have put there meanwhile, so that we hear of it
// while the move is on its way, comes into the share without a key: it is keyless, and its key is sent when the move
// has come about.

// keysAtOnce bounds the nodes that are dealt with at once.
const keysAtOnce = 100

// noteKeyless notes a node that somebody has put below a folder whose move into a share is on its way.
func (c *change) noteKeyless(h megaclient.Handle, tag string) error {
	if len(c.e.echoes) == 0 && c.e.flight == nil || c.e.ownTag(tag) {
		return nil
	}
	ino, known := c.ByHandle(h)
	if !known {
		return nil
	}
	if coming, err := c.belowMove(ino); !coming || err != nil {
		return err
	}
	if shares, err := c.SharesOf(ino); len(shares) == 0 || err != nil {
		return err
	}
	c.after = append(c.after, func() { poke(c.e.keysSoon) })
	return putRow(c.b, stringKey(rowKeyless, string(h)), true)
}

// belowMove tells whether a folder above has a move of ours that was sent, and whose packet is still to come.
func (c *change) belowMove(ino tree.Ino) (bool, error) {
	above, err := c.ancestors(ino)
	if err != nil {
		return false, err
	}
	for _, dir := range above[1:] {
		in, err := c.Get(dir)
		switch {
		case isGone(err), err == nil && in.Cloud == nil:
			continue
		case err != nil:
			return false, err
		}
		if c.awaited(in.Cloud.Handle, fieldPlace) || c.e.flight.moves(itemMove, in.Cloud.Handle) {
			return true, nil
		}
	}
	return false, nil
}

// giveKeys sends the keys of what is keyless; left: there are more that can't go yet.
func (e *Engine) giveKeys(ctx context.Context) (left bool, err error) {
	for {
		any := false
		if err := e.tree.View(func(tx *tree.Tx) error {
			return scanRows(tx.Badger(), []byte{rowPrefix, rowKeyless}, func(_, _ []byte) error {
				any = true
				return nil
			})
		}); !any || err != nil || e.queue.whyHalted() != nil {
			return any, err
		}
		n, left, err := e.giveKeysOnce(ctx)
		if n == 0 || err != nil {
			return left, err
		}
	}
}

// giveKeysOnce sends one request, and tells how many nodes are done with.
func (e *Engine) giveKeysOnce(ctx context.Context) (done int, left bool, err error) {
	if !e.enterLane(ctx) {
		return 0, true, ctx.Err()
	}
	defer e.leaveLane()
	if e.hasFlight() {
		return 0, true, nil // the end of it asks for this again
	}
	var give []megaclient.PutKeys
	err = e.update(ctx, func(c *change) error {
		give, left, done, err = c.keysToGive()
		return err
	})
	if err != nil || len(give) == 0 {
		return done, left, err
	}
	given, err := e.putKeys(ctx, give)
	if err != nil {
		return 0, true, err
	}
	err = e.update(ctx, func(c *change) error {
		for _, h := range given {
			if err := c.b.Delete(stringKey(rowKeyless, string(h))); err != nil {
				return err
			}
		}
		return nil
	})
	return done + len(given), left || len(given) < len(give), err
}

// keysToGive makes commands for keyless nodes that have arrived in their share, and forgets those that aren't in one. All
// behind one that hasn't arrived wait for it.
func (c *change) keysToGive() (give []megaclient.PutKeys, left bool, forgotten int, err error) {
	var rows []megaclient.Handle
	if err := scanRows(c.b, []byte{rowPrefix, rowKeyless}, func(key, _ []byte) error {
		rows = append(rows, megaclient.Handle(key[2:]))
		return nil
	}); err != nil {
		return nil, false, 0, err
	}
	for _, h := range rows {
		if len(give)+forgotten == keysAtOnce {
			return give, true, forgotten, nil
		}
		op, coming, err := c.keyToGive(h)
		switch {
		case err != nil:
			return nil, false, 0, err
		case coming:
			return give, true, forgotten, nil
		case len(op.Shares) > 0:
			give = append(give, op)
		default:
			forgotten++
			if err := c.b.Delete(stringKey(rowKeyless, string(h))); err != nil {
				return nil, false, 0, err
			}
		}
	}
	return give, false, forgotten, nil
}

// keyToGive makes the command for a keyless node; coming: not yet.
func (c *change) keyToGive(h megaclient.Handle) (op megaclient.PutKeys, coming bool, err error) {
	ino, known := c.ByHandle(h)
	if !known {
		return op, false, nil
	}
	if coming, err := c.belowMove(ino); coming || err != nil {
		return op, coming, err
	}
	in, err := c.Get(ino)
	switch {
	case isGone(err), err == nil && (in.Removed || in.Cloud == nil || in.Cloud.Key == nil):
		return op, false, nil
	case err != nil:
		return op, false, err
	}
	op.Nodes = []megaclient.KeyedNode{{Handle: h, Key: in.Cloud.Key}}
	op.Shares, err = c.SharesOf(ino)
	return op, false, err
}

// putKeys sends the commands, and lists the nodes of which nothing is left to do.
func (e *Engine) putKeys(ctx context.Context, give []megaclient.PutKeys) (given []megaclient.Handle, err error) {
	ops := make([]megaclient.Op, len(give))
	for i, op := range give {
		ops[i] = op
	}
	batch, err := e.client.Prepare(ops...)
	if err != nil {
		return nil, err
	}
	results, err := e.client.Execute(ctx, batch)
	if err != nil {
		return nil, fmt.Errorf("giving a share keys: %w", err)
	}
	for i, r := range results {
		if r.Err == nil || errors.Is(r.Err, megaclient.ENOENT) || errors.Is(r.Err, megaclient.EACCESS) {
			given = append(given, give[i].Nodes[0].Handle)
		}
	}
	return given, nil
}
