package megaclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// waits paces the tries of one transfer, and ends it when it has failed for too long without any
// progress in between. A slow transfer is no failing one.
type waits struct {
	next    func() time.Duration
	fresh   func() *backoff.ExponentialBackOff
	giveUp  time.Duration
	failing time.Time // first failure since the last progress
}

// begin counts the time without progress from now on, rather than from the first failure.
func (w *waits) begin() { w.failing = time.Now() }

// excuse takes time out of the account that nobody can be blamed for.
func (w *waits) excuse(d time.Duration) {
	if !w.failing.IsZero() {
		w.failing = w.failing.Add(d)
	}
}

// progress says that something got through: the next failure is a first one.
func (w *waits) progress() {
	if !w.failing.IsZero() {
		w.failing = time.Time{}
		w.next = w.fresh().NextBackOff
	}
}

// again waits before the next try after cause, at least for so long. It gives up when that is no
// use: with cause if that is an answer, else with ErrUnreachable, which wraps it.
func (w *waits) again(ctx context.Context, cause error, atLeast time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if w.failing.IsZero() {
		w.failing = time.Now()
	}
	if time.Since(w.failing) >= w.giveUp {
		var refusal *Error
		if errors.As(cause, &refusal) {
			return cause
		}
		return fmt.Errorf("%w: %w", ErrUnreachable, cause)
	}
	return sleep(ctx, max(w.next(), atLeast))
}
