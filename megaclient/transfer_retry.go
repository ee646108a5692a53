package megaclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// waits paces the tries of one transfer, and ends it when nothing has got through for too long.
type waits struct {
	next   func() time.Duration
	fresh  func() *backoff.ExponentialBackOff
	giveUp time.Duration
	since  time.Time // of the last progress
}

// progress says that something got through: the next failure is a first one.
func (w *waits) progress() {
	w.since = time.Now()
	w.next = w.fresh().NextBackOff
}

// again waits before the next try after cause, at least for so long. It gives up with
// ErrUnreachable, which wraps cause, when nothing has got through for too long.
func (w *waits) again(ctx context.Context, cause error, atLeast time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if time.Since(w.since) >= w.giveUp {
		var refusal *Error
		if errors.As(cause, &refusal) {
			return cause // reachable, but of no help
		}
		return fmt.Errorf("%w: %w", ErrUnreachable, cause)
	}
	return sleep(ctx, max(w.next(), atLeast))
}
