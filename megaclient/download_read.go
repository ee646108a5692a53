package megaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ErrOutOfRange says that bytes were asked for that the file doesn't have.
var ErrOutOfRange = errors.New("beyond the end of the file")

// ReadContent writes the ciphertext of the bytes [off, off+n) of a file to w, in order, as it
// arrives. It uses one connection, waits while too many are in use, and goes on where it was after a
// cut, a stall or an expired URL. What w returns as an error ends it at once. *OverQuotaError says
// that there is no transfer quota, ErrUnreachable that nothing came for minutes, ENOENT that the file
// is gone. Nothing is said about whether the bytes are right: see megacrypto.
func (c *Client) ReadContent(ctx context.Context, h Handle, off, n int64, w io.Writer) error {
	if off < 0 || n < 0 {
		return fmt.Errorf("reading %d bytes at %d: %w", n, off, ErrOutOfRange)
	}
	if n == 0 {
		return nil
	}
	ctx, done := c.bind(ctx)
	defer done()
	r := &rangeRead{stretch: stretch{c: c, pos: off, end: off + n, w: w}, handle: h, waits: c.transfers.timing.waits()}
	r.waits.begin()
	if err := r.run(ctx); err != nil {
		return fmt.Errorf("reading %d bytes at %d: %w", n, off, err)
	}
	return nil
}

// rangeRead is one ReadContent under way.
type rangeRead struct {
	stretch
	handle  Handle
	waits   *waits
	refused string // the URL that turned out to be of no use
	fresh   int    // URLs in a row that were refused at once
	failed  int    // times that a server failed
}

// maxFreshURLs is how many new URLs in a row may be refused before that is taken for an answer.
const maxFreshURLs = 4

// failuresPerURL is how often a URL's server may fail before another URL is asked for.
const failuresPerURL = 3

func (r *rangeRead) run(ctx context.Context) error {
	for r.pos < r.end {
		u, err := r.c.contentURL(ctx, r.handle, r.refused)
		if err != nil {
			if !errors.Is(err, ETEMPUNAVAIL) {
				return err
			}
			if err := r.waits.again(ctx, err, 4*r.c.transfers.timing.retryFirst); err != nil {
				return err
			}
			continue
		}
		if r.end > u.size {
			return ErrOutOfRange
		}
		before := r.pos
		failure := r.attempt(ctx, u)
		if r.pos-before >= leastProgress || r.pos == r.end {
			r.waits.progress()
			r.waits.begin()
			r.fresh = 0
		}
		if failure == nil {
			continue
		}
		if err := r.recover(ctx, u, failure); err != nil {
			return err
		}
	}
	return nil
}

// attempt asks for what is still missing, once.
func (r *rangeRead) attempt(ctx context.Context, u *downloadURL) error {
	if len(u.urls) > 1 {
		return r.fetchParts(ctx, u)
	}
	asked := time.Now()
	if err := r.c.transfers.down.enter(ctx, r.handle); err != nil {
		return err
	}
	defer r.c.transfers.down.leave()
	r.waits.excuse(time.Since(asked))
	return r.fetch(ctx, u.urls[0])
}

// recover decides what a failure means: nil says to try again.
func (r *rangeRead) recover(ctx context.Context, u *downloadURL, failure error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var (
		written *writeError
		quota   *OverQuotaError
		status  *StatusError
		bad     *badBody
	)
	down := r.c.transfers.down
	switch {
	case errors.As(failure, &written):
		return failure
	case errors.As(failure, &quota):
		r.refused = u.id() // there will be a new one when there is quota again
		r.c.transfers.urls.drop(ctx, r.handle, u, quota)
		return failure
	case errors.As(failure, &bad):
		return r.renew(ctx, u, failure)
	case errors.As(failure, &status):
		return r.recoverStatus(ctx, u, status)
	case isStall(failure):
		down.trouble()
	}
	r.c.log.WithError(failure).Debug("download cut, going on")
	err := r.waits.again(ctx, failure, 0)
	if err != nil && ctx.Err() == nil {
		r.c.transfers.urls.drop(ctx, r.handle, u, err) // it may be this server alone: the next one to read asks for another
	}
	return err
}

func (r *rangeRead) recoverStatus(ctx context.Context, u *downloadURL, status *StatusError) error {
	switch {
	case urlIsDead(status.Status):
		return r.renew(ctx, u, status)
	case status.Status == http.StatusTooManyRequests:
		r.c.transfers.down.trouble()
		return r.waits.again(ctx, status, 2*r.c.transfers.timing.retryFirst)
	case status.Status >= 500:
		if r.failed++; r.failed%failuresPerURL == 0 {
			r.refused = u.id() // another server may have the file
		}
		return r.waits.again(ctx, status, 2*r.c.transfers.timing.retryFirst)
	}
	return r.renew(ctx, u, status)
}

// renew goes on with another URL: at once the first time, then after a wait, and not for ever.
func (r *rangeRead) renew(ctx context.Context, u *downloadURL, cause error) error {
	r.refused = u.id()
	r.fresh++
	if r.fresh >= maxFreshURLs {
		return cause
	}
	if r.fresh == 1 {
		return nil
	}
	return r.waits.again(ctx, cause, 0)
}
