package writeback

import (
	"context"
	"errors"
	"fmt"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// Flush sends at once what is pending for an inode and all below it, 0 for
// everything, whether or not files are still open, and returns when the cloud
// has it: what was changed before the call is acknowledged. Where the cloud
// refuses something it gives a *RefusedError (joined, if there are several)
// once all the rest is done; the changes stay and are tried again.
func (e *Engine) Flush(ctx context.Context, ino tree.Ino) error {
	if err := e.commitAll(ctx); err != nil {
		return err
	}
	wanted := e.claim(ino)
	defer e.unclaim(wanted)
	e.queue.kick()
	for {
		open, refused, changed := e.progress(wanted)
		if open > 0 && e.queue.isPaused() {
			return fmt.Errorf("not everything is in the cloud: %w", megaclient.ESID)
		}
		if open == 0 {
			return e.refusals(refused)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.stop.Done():
			return ErrClosed
		}
	}
}

// claim is what a Flush waits for: the sequence number of each inode's journal
// row, and how often it had been tried.
type claim struct {
	seq   uint64
	last  int64
	tried int
}

// claim takes all that is dirty, or what lies at or below an inode, with the
// folders that have to be there first.
func (e *Engine) claim(top tree.Ino) map[tree.Ino]claim {
	wanted := map[tree.Ino]claim{}
	all := e.queue.snapshot()
	for _, d := range all {
		if top == 0 || e.isBelow(d.ino, top) {
			wanted[d.ino] = claim{}
		}
	}
	for ino := range wanted {
		for up := e.parentOf(ino); up != 0 && e.queue.has(up); up = e.parentOf(up) {
			if _, ok := wanted[up]; ok {
				break
			}
			wanted[up] = claim{}
		}
	}
	for ino := range wanted {
		e.queue.with(ino, func(d *dirtyInode) {
			d.forced++
			d.asked = true
			d.entry.Retry = 0
			wanted[ino] = claim{d.entry.Seq, d.entry.Last, d.tried}
		})
	}
	return wanted
}

func (e *Engine) unclaim(wanted map[tree.Ino]claim) {
	for ino := range wanted {
		e.queue.with(ino, func(d *dirtyInode) {
			d.forced--
			d.asked = d.forced > 0
		})
	}
}

func (e *Engine) parentOf(ino tree.Ino) tree.Ino {
	in, err := e.tree.Get(ino)
	if err != nil || in.Parent == ino {
		return 0
	}
	return in.Parent
}

func (e *Engine) isBelow(ino, top tree.Ino) bool {
	for depth := 0; ino != 0 && depth < 4096; depth++ {
		if ino == top {
			return true
		}
		ino = e.parentOf(ino)
	}
	return false
}

// progress tells how many of the wanted are still open, and which were refused
// since they were wanted.
func (e *Engine) progress(wanted map[tree.Ino]claim) (open int, refused map[tree.Ino]error, changed <-chan struct{}) {
	refused = map[tree.Ino]error{}
	e.queue.mu.Lock()
	defer e.queue.mu.Unlock()
	for ino, w := range wanted {
		d := e.queue.dirty[ino]
		switch {
		case d == nil || d.entry.Seq != w.seq:
		case d.tried > w.tried && d.refusal != nil && !d.sending && d.upload == nil:
			refused[ino] = d.refusal
		case d.entry.Held:
			refused[ino] = ErrHeldBack
		default:
			open++
		}
	}
	if open > 0 && e.onlyBlockedLocked(wanted, refused) {
		open = 0
	}
	return open, refused, e.queue.change
}

// onlyBlockedLocked tells whether all that is still open waits for something
// that was refused: nothing more will happen until that is tried again.
func (e *Engine) onlyBlockedLocked(wanted map[tree.Ino]claim, refused map[tree.Ino]error) bool {
	if len(refused) == 0 {
		return false
	}
	for ino, w := range wanted {
		d := e.queue.dirty[ino]
		if d == nil || d.entry.Seq != w.seq || refused[ino] != nil {
			continue
		}
		if d.sending || d.upload != nil || !e.belowRefused(ino, refused) {
			return false
		}
	}
	return true
}

func (e *Engine) belowRefused(ino tree.Ino, refused map[tree.Ino]error) bool {
	for up := e.parentOf(ino); up != 0; up = e.parentOf(up) {
		if refused[up] != nil {
			return true
		}
	}
	return false
}

func (e *Engine) refusals(refused map[tree.Ino]error) error {
	var errs []error
	for ino, err := range refused {
		path, perr := e.tree.Path(ino)
		if perr != nil {
			path = ""
		}
		errs = append(errs, &RefusedError{Ino: ino, Path: path, Err: err})
	}
	return errors.Join(errs...)
}
