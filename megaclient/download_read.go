package megaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"
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
	if err := c.transfers.down.enter(ctx); err != nil {
		return err
	}
	defer c.transfers.down.leave()
	r := &rangeRead{c: c, handle: h, pos: off, end: off + n, w: w, waits: c.transfers.timing.waits()}
	r.waits.begin()
	if err := r.run(ctx); err != nil {
		return fmt.Errorf("reading %d bytes at %d: %w", n, off, err)
	}
	return nil
}

// rangeRead is one ReadContent under way.
type rangeRead struct {
	c        *Client
	handle   Handle
	pos, end int64 // what is still missing
	w        io.Writer
	waits    *waits
	refused  string // the URL that turned out to be of no use
	fresh    int    // URLs in a row that were refused at once
	failed   int    // times that a server failed
}

// maxFreshURLs is how many new URLs in a row may be refused before that is taken for an answer.
const maxFreshURLs = 4

// A server that sends less than crawlRate bytes a second, over as long a time as it may be silent, is taken for
// one that has stalled; and what comes in so small pieces is no progress.
const (
	crawlRate     = 1 << 10
	leastProgress = 4 << 10
)

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
		failure := r.fetch(ctx, u)
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

// writeError wraps what w returned: it is final.
type writeError struct{ cause error }

func (e *writeError) Error() string { return "passing on what was read: " + e.cause.Error() }
func (e *writeError) Unwrap() error { return e.cause }

// badBody is an answer with status 200 that can't be the content that was asked for.
type badBody struct{ why string }

func (e *badBody) Error() string { return "not the content that was asked for: " + e.why }
func (e *badBody) Unwrap() error { return ErrBadAnswer }

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
		r.refused = u.url // there will be a new one when there is quota again
		_, _ = r.c.transfers.urls.get(ctx, r.handle, u.url, func(context.Context) (*downloadURL, error) { return nil, quota })
		return failure
	case errors.As(failure, &bad):
		return r.renew(ctx, u, failure)
	case errors.As(failure, &status):
		return r.recoverStatus(ctx, u, status)
	case isStall(failure):
		down.trouble()
	}
	r.c.log.WithError(failure).Debug("download cut, going on")
	return r.waits.again(ctx, failure, 0)
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
			r.refused = u.url // another server may have the file
		}
		return r.waits.again(ctx, status, 2*r.c.transfers.timing.retryFirst)
	}
	return r.renew(ctx, u, status)
}

// renew goes on with another URL: at once the first time, then after a wait, and not for ever.
func (r *rangeRead) renew(ctx context.Context, u *downloadURL, cause error) error {
	r.refused = u.url
	r.fresh++
	if r.fresh >= maxFreshURLs {
		return cause
	}
	if r.fresh == 1 {
		return nil
	}
	return r.waits.again(ctx, cause, 0)
}

// fetch asks for what is still missing and passes on what comes.
func (r *rangeRead) fetch(ctx context.Context, u *downloadURL) error {
	want := r.end - r.pos
	x := exchange{
		method: http.MethodGet,
		url:    u.url + "/" + strconv.FormatInt(r.pos, 10) + "-" + strconv.FormatInt(r.end-1, 10),
		stall:  r.c.transfers.timing.stallDown,
	}
	resp, err := r.c.storage(ctx, x)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == statusOverQuota:
		return overQuota(resp.Header)
	case resp.StatusCode != http.StatusOK:
		drain(resp)
		return &StatusError{Status: resp.StatusCode}
	case resp.ContentLength >= 0 && resp.ContentLength != want:
		return &badBody{fmt.Sprintf("%d bytes in place of %d", resp.ContentLength, want)}
	case isHTML(resp.Header):
		return &badBody{"a web page"}
	}
	return r.copy(ctx, resp.Body)
}

// isHTML recognises what a proxy or a login page puts in place of content.
func isHTML(h http.Header) bool {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && t == "text/html"
}

// Lender is a writer that lends the memory in which it wants what it is given next, so that nothing is
// copied. Lend gives none when it wants no more; Commit takes the first n bytes of what was lent last.
type Lender interface {
	io.Writer
	Lend() []byte
	Commit(n int) error
}

// copyBuffers lends what is passed on at a time.
var copyBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// copy passes on what comes, up to what is missing.
func (r *rangeRead) copy(ctx context.Context, body io.Reader) error {
	pace := crawl{limit: r.c.transfers.timing.stallDown}
	lender, lends := r.w.(Lender)
	if !lends {
		lent := copyBuffers.Get().(*[128 << 10]byte)
		defer copyBuffers.Put(lent)
		lender = &plainLender{w: r.w, buf: lent[:]}
	}
	for r.pos < r.end {
		buf := lender.Lend()
		if len(buf) == 0 {
			_, err := lender.Write([]byte{0}) // it says why
			return &writeError{errors.Join(err, io.ErrShortWrite)}
		}
		start := time.Now()
		n, err := body.Read(buf[:min(int64(len(buf)), r.end-r.pos, largestRead)])
		slow := pace.read(n, time.Since(start))
		if n > 0 {
			r.c.transfers.down.moved(n)
			if err := lender.Commit(n); err != nil {
				return &writeError{err}
			}
			r.pos += int64(n)
			if err := r.c.transfers.pause(ctx, n); err != nil {
				return err
			}
		}
		if err == nil && slow && r.pos < r.end {
			return &transportError{cause: errIdle, sent: true}
		}
		if err == io.EOF && r.pos < r.end {
			return io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	var end [1]byte
	_, _ = body.Read(end[:]) // the end, so that the connection can be used again
	return nil
}

// crawl finds out whether a connection is so slow that another is worth a try. Only the time spent reading
// counts.
type crawl struct {
	limit time.Duration
	spent time.Duration
	got   int
}

func (k *crawl) read(n int, d time.Duration) (slow bool) {
	k.got, k.spent = k.got+n, k.spent+d
	if k.limit <= 0 || k.spent < k.limit {
		return false
	}
	slow = float64(k.got) < crawlRate*k.spent.Seconds()
	k.got, k.spent = 0, 0
	return slow
}

// pause keeps to the limit of what may be downloaded.
func (t *transfers) pause(ctx context.Context, n int) error {
	if t.limit == nil {
		return nil
	}
	if err := t.limit.WaitN(ctx, n); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// plainLender makes a Lender of a writer.
type plainLender struct {
	w   io.Writer
	buf []byte
}

func (l *plainLender) Write(p []byte) (int, error) { return l.w.Write(p) }
func (l *plainLender) Lend() []byte                { return l.buf }

func (l *plainLender) Commit(n int) error {
	_, err := l.w.Write(l.buf[:n])
	return err
}
