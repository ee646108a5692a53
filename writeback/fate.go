package writeback

import (
	"bytes"
	"context"
	"errors"
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

const fatePoll = 200 * time.Millisecond // between two questions whether the server is still busy

// batchFailed handles a batch that wasn't answered. If it surely wasn't
// executed it is taken back; otherwise its fate is found before anything else
// is sent. The caller holds the lane.
func (e *Engine) batchFailed(ctx context.Context, err error) {
	if errors.Is(err, megaclient.ErrUncertain) || isCancel(ctx, err) {
		e.trouble(err)
		e.leaveLane() // a full fetch may be what finds it
		defer e.reenterLane()
		e.settleFlight(ctx)
		return
	}
	e.trouble(err)
	if f, items := e.currentFlight(); f != nil {
		if terr := e.settleBatch(ctx, f, items, make([]outcome, len(items))); terr != nil {
			e.log.WithError(terr).Error("taking a batch back")
		}
	}
	if e.queue.whyHalted() == nil {
		sleep(ctx, e.times.RetryFirst)
	}
}

func (e *Engine) reenterLane() { <-e.lane }

// settleFlight finds out what became of the batch without an answer: once the
// server doesn't work for us any more and the stream, asked afterwards, has
// nothing new, all that the batch did is in the tree. What isn't there by then
// gets LateGrace to come: the request may lie somewhere that no question reaches.
func (e *Engine) settleFlight(ctx context.Context) {
	wait := e.times.RetryFirst
	var free time.Time // the server has had nothing to do for us since then
	for e.hasFlight() && ctx.Err() == nil {
		busy, err := e.client.Busy(ctx)
		if err != nil {
			if ctx.Err() == nil {
				e.trouble(err)
			}
			if classify(err) == errSession {
				return
			}
			sleep(ctx, wait)
			wait = min(2*wait, e.times.RetryMax)
			continue
		}
		asked := e.now()
		if busy || free.IsZero() {
			free = asked
		}
		if busy {
			sleep(ctx, fatePoll)
			continue
		}
		if !e.stream.waitCurrent(ctx, asked) {
			return
		}
		settled, err := e.findFate(ctx, asked.Sub(free) >= e.times.LateGrace)
		switch {
		case err != nil && ctx.Err() == nil:
			e.log.WithError(err).Error("finding the fate of a batch")
			sleep(ctx, wait)
		case !settled:
			sleep(ctx, fatePoll)
		}
	}
}

// findFate decides for each command of the batch whether it was executed, by
// what the tree has heard. Unless last, it leaves a batch alone of which
// something may still be executed.
func (e *Engine) findFate(ctx context.Context, last bool) (settled bool, err error) {
	f, items := e.currentFlight()
	if f == nil {
		return true, nil
	}
	outcomes := make([]outcome, len(items))
	err = e.tree.View(func(tx *tree.Tx) error {
		var bin megaclient.Handle
		in, err := tx.Get(tree.BinIno)
		if err != nil && !isGone(err) {
			return err
		}
		if in.Cloud != nil {
			bin = in.Cloud.Handle
		}
		e.writeMu.Lock()
		defer e.writeMu.Unlock()
		settled = true
		for i := range f.Items {
			in, err := tx.Get(f.Items[i].Ino)
			gone := isGone(err)
			if err != nil && !gone {
				return err
			}
			outcomes[i] = outcome{done: executed(&f.Items[i], in.Cloud, bin), guessed: !f.Items[i].Echoed, heard: true}
			settled = settled && outcomes[i].done
		}
		settled = settled || last
		return nil
	})
	if err != nil || !settled {
		return false, err
	}
	return true, e.settleBatch(ctx, f, items, outcomes)
}

// executed tells whether a command's effect has been seen.
func executed(it *item, cloud *tree.Cloud, bin megaclient.Handle) bool {
	if it.Kind == itemFolder || it.Kind == itemFile { // its packet says nothing without the node
		return it.Found != "" || (cloud != nil && bytes.Equal(cloud.Key, it.Key))
	}
	if it.Echoed {
		return true
	}
	switch it.Kind {
	case itemAttrs:
		return cloud != nil && cloud.Handle == it.Handle && sameAttrs(cloud, it)
	case itemMove:
		return cloud != nil && cloud.Handle == it.Handle && cloud.Parent == it.Parent
	case itemTrash:
		return cloud == nil || cloud.Handle != it.Handle || cloud.Parent == bin
	default:
		return cloud == nil || cloud.Handle != it.Handle
	}
}

func sameAttrs(cloud *tree.Cloud, it *item) bool {
	if len(cloud.Attrs) != len(it.Attrs) {
		return false
	}
	for name, v := range it.Attrs {
		if !bytes.Equal(cloud.Attrs[name], v) {
			return false
		}
	}
	return true
}
