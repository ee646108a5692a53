package writeback

import (
	"errors"
	"time"

	"megadisk/megaclient"
)

// halt is a reason to send nothing at all.
type halt uint8

const (
	haltSession  halt = iota // the session has ended
	haltBlocked              // the account is blocked
	haltPaused               // a command said so
	haltUnsynced             // what is sent couldn't be noted before
	halts
)

// halted gives the reason, nil if that one doesn't hold.
func (q *queue) halted(which halt) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.halts[which]
}

// whyHalted gives the first reason to send nothing; nil if there is none.
func (q *queue) whyHalted() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.whyHaltedLocked()
}

func (q *queue) whyHaltedLocked() error {
	for _, why := range q.halts {
		if why != nil {
			return why
		}
	}
	return nil
}

func (q *queue) halt(which halt, why error) {
	q.mu.Lock()
	q.halts[which] = why
	for _, d := range q.dirty {
		q.reviewLocked(d)
	}
	q.mu.Unlock()
	q.kick()
}

func (q *queue) unhalt(which halt) {
	if q.halted(which) != nil {
		q.halt(which, nil)
	}
}

// errUnsynced says that the disk has failed a sync of the database.
var errUnsynced = errors.New("the disk of the state has failed to take what was written: nothing is sent, and a loss of power could take back what was done since; look after the disk, then `megadisk unmount --no-wait` and mount again")

// unsynced: nothing but another opening of the state helps.
func (e *Engine) unsynced() { e.queue.halt(haltUnsynced, errUnsynced) }

// sessionEnded: nothing but a new login helps.
func (e *Engine) sessionEnded() { e.queue.halt(haltSession, megaclient.ESID) }

// blocked: nothing is sent until the cloud answers again; once in a while it
// is tried.
func (e *Engine) blocked(err error) {
	e.queue.halt(haltBlocked, err)
	e.queue.mu.Lock()
	defer e.queue.mu.Unlock()
	e.queue.tryAt = e.now().Add(e.times.RetryWall)
}

// mayPlan tells whether anything may be sent, or else when to ask again; the
// zero time: when that changes.
func (q *queue) mayPlan(now time.Time) (ok bool, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.halts[haltBlocked] != nil && !now.Before(q.tryAt) {
		q.halts[haltBlocked] = nil
	}
	if q.whyHaltedLocked() == nil {
		return true, time.Time{}
	}
	if q.halts[haltBlocked] != nil {
		next = q.tryAt
	}
	return false, next
}

// online: the cloud has answered.
func (e *Engine) online() { e.queue.unhalt(haltBlocked) }

// Pause stops sending until Resume: what is under way is broken off, and goes
// on from there.
func (e *Engine) Pause() {
	e.queue.halt(haltPaused, ErrPaused)
	e.queue.cancelUploads()
}

// Resume ends Pause.
func (e *Engine) Resume() { e.queue.unhalt(haltPaused) }
