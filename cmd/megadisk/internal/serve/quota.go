package serve

import (
	"context"
	"errors"
	"sync"
	"time"

	"megadisk/megaclient"
)

// transferQuota knows how the account stands with its transfer quota: when there is none, as storage servers say, and
// when little is left, which is asked for now and then while something is downloaded. Then nothing is fetched ahead.
type transferQuota struct {
	ask   func(context.Context) (megaclient.Quota, error)
	pause func(until time.Time)
	wake  chan struct{}
	// A read waits no longer than this for quota: whoever has to wait longer is told at once.
	patience time.Duration

	mu    sync.Mutex
	back  time.Time // there is none until then; GUARDED_BY(mu)
	tried time.Time // when that was last put to the test; GUARDED_BY(mu)
	left  int64     // bytes, when they are few; GUARDED_BY(mu)
	moved int64     // bytes since it was asked for; negative: never was. GUARDED_BY(mu)
}

const (
	quotaEvery = 256 << 20        // bytes downloaded between two questions
	quotaLow   = 20               // one part in so many of the whole is little
	quotaPause = 15 * time.Minute // nothing is fetched ahead for so long then
	quotaRetry = 2 * time.Second  // without any, the server is asked no more often, as somebody may have bought some
)

func newTransferQuota(c *megaclient.Client, patience time.Duration) *transferQuota {
	return &transferQuota{ask: c.Quota, patience: patience, wake: make(chan struct{}, 1), moved: -1}
}

// enter refuses a download while the server's refusal is fresh.
func (q *transferQuota) enter() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if now.Before(q.back) && now.Sub(q.tried) < quotaRetry {
		return &megaclient.OverQuotaError{Left: q.back.Sub(now)}
	}
	q.tried = now
	return nil
}

// result takes what became of a download.
func (q *transferQuota) result(err error) {
	var over *megaclient.OverQuotaError
	refused := errors.As(err, &over)
	if !refused && err != nil {
		return
	}
	var until time.Time
	if refused {
		until = time.Now().Add(over.Left)
		q.pause(until)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.back = until
}

// await waits until there is quota again, if a download failed for want of it and was told that this is soon. It tells
// whether the download is to go on.
func (q *transferQuota) await(ctx context.Context, err error) bool {
	var over *megaclient.OverQuotaError
	if !errors.As(err, &over) || over.Left >= q.patience {
		return false
	}
	select {
	case <-time.After(over.Left):
		return true
	case <-ctx.Done():
		return false
	}
}

// state tells until when there is none, and how much is left when that is little.
func (q *transferQuota) state() (until time.Time, left int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.back, q.left
}

// downloaded counts bytes.
func (q *transferQuota) downloaded(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	due := q.moved < 0 || q.moved+n >= quotaEvery
	q.moved += n
	if !due {
		return
	}
	q.moved = 0
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run asks when it is time, until ctx ends.
func (q *transferQuota) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		}
		if account, err := q.ask(ctx); err == nil {
			q.look(account)
		}
	}
}

// look takes an answer. An account without a limit has none.
func (q *transferQuota) look(account megaclient.Quota) {
	left := account.TransferTotal - account.TransferUsed
	low := account.TransferTotal > 0 && left < account.TransferTotal/quotaLow
	if low {
		q.pause(time.Now().Add(quotaPause))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.left = 0
	if low {
		q.left = max(left, 1)
	}
}
