package writeback

import (
	"context"
	"errors"
	"slices"
	"time"

	"megadisk/writeback/tree"
)

// Flush sends at once what is pending for an inode and all below it, 0 for
// everything, whether or not files are still open, and returns when the cloud
// has it: what was changed before the call is acknowledged. Where the cloud
// refuses something it gives a *RefusedError (joined, if there are several)
// once all the rest is done, and a *HaltedError for what isn't even asked for;
// the changes stay and are tried again.
func (e *Engine) Flush(ctx context.Context, ino tree.Ino) error {
	if err := e.commitAll(ctx); err != nil {
		return err
	}
	c := e.claim(ino)
	defer e.unclaim(c)
	for {
		open, refused, changed := e.queue.progress(c)
		if why := e.queue.whyHalted(); why != nil && open > 0 {
			return &HaltedError{Changes: open, Err: why}
		}
		if open == 0 || (refused > 0 && e.onlyBlocked(c)) {
			return e.refusals(c)
		}
		var again <-chan time.Time
		if refused > 0 {
			again = time.After(blockedPoll)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.stop.Done():
			return ErrClosed
		}
	}
}

// blockedPoll is how often a Flush asks whether what is left only waits for
// something that was refused.
const blockedPoll = 200 * time.Millisecond

// claims is what one Flush waits for: for each inode until it differs in
// nothing any more, or all that was changed before the Flush has been sent. It is kept up to date as the journal
// changes, so that asking costs nothing however much is pending.
type claims struct {
	wanted  map[tree.Ino]*claim // constant
	at      uint64              // queue.clock
	open    int                 // GUARDED_BY(queue.mu)
	refused map[tree.Ino]error  // GUARDED_BY(queue.mu)
	changed chan struct{}       // GUARDED_BY(queue.mu): has something when a count has changed
}

// claim is one inode of it: the sequence number of its journal row, and how
// often it had been tried.
type claim struct {
	seq     uint64
	tried   int
	content uint64 // entry.Content
	open    bool   // GUARDED_BY(queue.mu)
}

// claim takes all that is dirty, or what lies at or below an inode, with the
// folders that have to be there first.
func (e *Engine) claim(top tree.Ino) *claims {
	wanted := map[tree.Ino]*claim{}
	for _, ino := range e.queue.all() {
		if top == 0 || e.isBelow(ino, top) {
			wanted[ino] = &claim{}
		}
	}
	if top != 0 {
		for up := e.parentOf(top); up != 0; up = e.parentOf(up) {
			if e.queue.has(up) {
				wanted[up] = &claim{}
			}
		}
	}
	c := &claims{wanted: wanted, refused: map[tree.Ino]error{}, changed: make(chan struct{}, 1)}
	e.queue.addClaims(c)
	return c
}

func (q *queue) addClaims(c *claims) {
	q.mu.Lock()
	q.clock++
	c.at = q.clock
	for ino, w := range c.wanted {
		d := q.dirty[ino]
		if d == nil {
			continue
		}
		if d.asked == 0 {
			d.asked = c.at
		}
		if !isLasting(d.entry.Code) {
			d.entry.Retry = 0
		}
		w.seq, w.tried, w.content, w.open = d.entry.Seq, d.tried, d.entry.Content, true
		c.open++
		d.claims = append(d.claims, c)
		q.marks[ino] = struct{}{}
		q.reviewLocked(d)
	}
	q.mu.Unlock()
	q.kick()
}

func (e *Engine) unclaim(c *claims) {
	q := &e.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	for ino := range c.wanted {
		if d := q.dirty[ino]; d != nil {
			d.keepClaims(func(other *claims) bool { return other != c })
		}
	}
}

// keepClaims drops the claims on an inode that fn doesn't keep. Without any,
// nobody asks for it.
func (d *dirtyInode) keepClaims(fn func(*claims) bool) {
	had := len(d.claims)
	d.claims = slices.DeleteFunc(d.claims, func(c *claims) bool { return !fn(c) })
	if had > 0 && len(d.claims) == 0 {
		d.asked = 0
	}
}

// fulfil ends claims on an inode, those that fn tells, though it may differ
// still.
func (q *queue) fulfil(ino tree.Ino, fn func(*claims, *claim) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.dirty[ino]
	if d == nil {
		return
	}
	d.keepClaims(func(c *claims) bool {
		w := c.wanted[ino]
		if !w.open || !fn(c, w) {
			return true
		}
		w.open = false
		delete(c.refused, ino)
		c.open--
		poke(c.changed)
		return false
	})
}

// removed: what was done before to an inode that is removed needn't be sent.
func (q *queue) removed(ino tree.Ino) {
	q.fulfil(ino, func(*claims, *claim) bool { return true })
}

// acknowledged: what was sent for an inode after a Flush began is what that
// Flush waits for.
func (q *queue) acknowledged(it item, sent uint64) {
	if it.Kind == itemAttrs || it.Kind == itemMove {
		return // the rest may still be to come: placed tells
	}
	q.fulfil(it.Ino, func(c *claims, w *claim) bool {
		return sent >= c.at && (it.Kind != itemFile || it.Copy || it.Content >= w.content)
	})
}

// placed: name, folder and attributes that an inode had after a Flush began are
// in the cloud, and nothing else of it was missing there. It may have been
// renamed again since.
func (q *queue) placed(ino tree.Ino, sent uint64) {
	q.fulfil(ino, func(c *claims, _ *claim) bool { return sent >= c.at })
}

// askFor lets those go at once that somebody waits for who was asked for.
func (q *queue) askFor(inos []tree.Ino) {
	q.mu.Lock()
	asked := false
	for _, ino := range inos {
		if d := q.dirty[ino]; d != nil && d.asked == 0 {
			q.clock++
			d.asked, asked = q.clock, true
			q.marks[ino] = struct{}{}
		}
	}
	q.mu.Unlock()
	if asked {
		q.kick()
	}
}

// reviewLocked brings the claims on an inode up to date.
func (q *queue) reviewLocked(d *dirtyInode) {
	for _, c := range d.claims {
		w := c.wanted[d.ino]
		var open bool
		var refusal error
		switch {
		case q.dirty[d.ino] != d || d.entry.Seq != w.seq:
		case d.stays != goes: // it isn't waited for
		case d.sending || d.upload != nil:
			open = true
		case d.wall != nil:
			refusal = d.wall
		case d.refusal != nil && (d.tried > w.tried || d.entry.Retry != 0):
			refusal = d.refusal
		case d.entry.Braked:
			refusal = errBraked
		case d.entry.Held:
			refusal = ErrHeldBack
		default:
			open = true
		}
		if open != w.open {
			w.open = open
			if c.open--; open {
				c.open += 2
			}
		}
		if refusal != nil {
			c.refused[d.ino] = refusal
		} else {
			delete(c.refused, d.ino)
		}
		if c.open == 0 || refusal != nil || q.whyHaltedLocked() != nil {
			poke(c.changed)
		}
	}
}

// progress tells how many of the claimed are still open, and how many were
// refused since they were claimed.
func (q *queue) progress(c *claims) (open, refused int, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return c.open, len(c.refused), c.changed
}

// onlyBlocked tells whether all that is still open waits for something that
// was refused: nothing more will happen until that is tried again.
func (e *Engine) onlyBlocked(c *claims) bool {
	p := &e.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	e.queue.mu.Lock()
	waits := make(map[tree.Ino]bool, len(c.refused))
	for ino := range c.refused {
		waits[ino] = true
	}
	var open []tree.Ino
	moving := false
	for ino, w := range c.wanted {
		if d := e.queue.dirty[ino]; w.open && d != nil {
			open = append(open, ino)
			moving = moving || d.sending || d.upload != nil
		}
	}
	e.queue.mu.Unlock()
	if moving {
		return false
	}
	for _, ino := range open {
		if !p.waitsForOne(ino, waits) {
			return false
		}
	}
	return true
}

// waitsForOne tells whether an inode waits, directly or through others, for
// one that known says so of, and notes what it finds there. Who calls holds
// p.mu.
func (p *planner) waitsForOne(ino tree.Ino, known map[tree.Ino]bool) bool {
	if waits, ok := known[ino]; ok {
		return waits
	}
	known[ino] = false // whoever waits for itself waits for nobody else
	old := p.seen[ino]
	if old == nil {
		return false
	}
	for _, on := range old.waitsFor {
		if p.waitsForOne(on, known) {
			known[ino] = true
		}
	}
	return known[ino]
}

// refusalsNamed is how many refusals a Flush gives by name.
const refusalsNamed = 20

// refusals gives what was refused: one error for each change, and one for all
// that meet the same wall.
func (e *Engine) refusals(c *claims) error {
	e.queue.mu.Lock()
	refused := make(map[tree.Ino]error, len(c.refused))
	behind, braked := map[error]int{}, 0
	for ino, err := range c.refused {
		switch d := e.queue.dirty[ino]; {
		case errors.Is(err, errBraked):
			braked++
		case d != nil && d.wall == err && d.refusal == nil: // else the wall was found by asking for it
			behind[err]++
		default:
			refused[ino] = err
		}
	}
	e.queue.mu.Unlock()
	var errs []error
	if braked > 0 {
		errs = append(errs, &BrakedError{Deletions: braked})
	}
	for why, n := range behind {
		errs = append(errs, &HaltedError{Changes: n, Err: why})
	}
	for ino, err := range refused {
		if len(errs) == refusalsNamed {
			errs = append(errs, &HaltedError{Changes: len(refused) - refusalsNamed, Err: errManyRefused})
			break
		}
		path, perr := e.tree.Path(ino)
		if perr != nil {
			path = ""
		}
		errs = append(errs, &RefusedError{Ino: ino, Path: path, Err: err})
	}
	return errors.Join(errs...)
}

var errManyRefused = errors.New("`megadisk status` says why")

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
