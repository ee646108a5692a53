package megaclient

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"
)

// throttle is the one token bucket that all requests to the command server go through. It slows when
// the server says that there are too many, and recovers step by step.
type throttle struct {
	full    rate.Limit
	limiter *rate.Limiter

	mu     sync.Mutex
	slowed time.Time // GUARDED_BY(mu): when it was last slowed or eased
}

const (
	throttleFloor = rate.Limit(0.5) // requests a second that are always allowed
	throttleEase  = 10 * time.Second
)

func newThrottle(t timing) *throttle {
	return &throttle{full: rate.Limit(t.requestRate), limiter: rate.NewLimiter(rate.Limit(t.requestRate), t.requestBurst)}
}

// wait takes a token.
func (t *throttle) wait(ctx context.Context) error {
	if err := t.limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return context.DeadlineExceeded // it would pass before
	}
	return nil
}

// slow halves the rate: the server answered -4.
func (t *throttle) slow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slowed = time.Now()
	t.limiter.SetLimit(max(throttleFloor, t.limiter.Limit()/2))
	t.limiter.SetBurst(1)
}

// ease lets the rate grow again, by half after each ten seconds without trouble.
func (t *throttle) ease(burst int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slowed.IsZero() || time.Since(t.slowed) < throttleEase {
		return
	}
	t.slowed = time.Now()
	limit := min(t.full, t.limiter.Limit()*3/2)
	t.limiter.SetLimit(limit)
	if limit == t.full {
		t.slowed = time.Time{}
		t.limiter.SetBurst(burst)
	}
}

// newBackoff gives growing waits between tries: doubling, with half of jitter.
func (t timing) newBackoff() *backoff.ExponentialBackOff {
	b := &backoff.ExponentialBackOff{
		InitialInterval: t.retryFirst, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: t.retryMax,
	}
	b.Reset()
	return b
}

// sleep waits, or returns the cause of ctx's end.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
