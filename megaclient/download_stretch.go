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

// stretch is bytes that are to come from one URL, in one request or in several.
type stretch struct {
	c        *Client
	pos, end int64 // what is still missing
	w        io.Writer
}

// A server that sends less than crawlRate bytes a second, over as long a time as it may be silent, is taken for
// one that has stalled; and what comes in so small pieces is no progress.
const (
	crawlRate     = 1 << 10
	leastProgress = 4 << 10
)

// writeError wraps what w returned: it is final.
type writeError struct{ cause error }

func (e *writeError) Error() string { return "passing on what was read: " + e.cause.Error() }
func (e *writeError) Unwrap() error { return e.cause }

// badBody is an answer with status 200 that can't be the content that was asked for.
type badBody struct{ why string }

func (e *badBody) Error() string { return "not the content that was asked for: " + e.why }
func (e *badBody) Unwrap() error { return ErrBadAnswer }

// fetch asks for what is still missing and passes on what comes.
func (s *stretch) fetch(ctx context.Context, address string) error {
	want := s.end - s.pos
	x := exchange{
		method: http.MethodGet,
		url:    address + "/" + strconv.FormatInt(s.pos, 10) + "-" + strconv.FormatInt(s.end-1, 10),
		stall:  s.c.transfers.timing.stallDown,
	}
	resp, err := s.c.storage(ctx, x)
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
	return s.copy(ctx, resp.Body, resp.ContentLength >= 0)
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
func (s *stretch) copy(ctx context.Context, body io.Reader, sized bool) error {
	pace := crawl{limit: s.c.transfers.timing.stallDown}
	lender, giveBack := s.lender()
	defer giveBack()
	for s.pos < s.end {
		buf := lender.Lend()
		if len(buf) == 0 {
			return unwanted(lender)
		}
		start := time.Now()
		n, err := body.Read(buf[:min(int64(len(buf)), s.end-s.pos, largestRead)])
		slow := pace.read(n, time.Since(start))
		if n > 0 {
			s.c.transfers.down.moved(n)
			if err := lender.Commit(n); err != nil {
				return &writeError{err}
			}
			s.pos += int64(n)
			if err := s.c.transfers.pause(ctx, n); err != nil {
				return err
			}
		}
		if err == nil && slow && s.pos < s.end {
			return &transportError{cause: errIdle, sent: true}
		}
		if err == io.EOF && s.pos < s.end {
			return io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	if sized {
		var end [1]byte
		_, _ = body.Read(end[:]) // the end, which is there already, so that the connection can be used again
	}
	return nil
}

// lender is the writer as a Lender.
func (s *stretch) lender() (l Lender, giveBack func()) {
	if l, lends := s.w.(Lender); lends {
		return l, func() {}
	}
	lent := copyBuffers.Get().(*[128 << 10]byte)
	return &plainLender{w: s.w, buf: lent[:]}, func() { copyBuffers.Put(lent) }
}

// unwanted is the error of a writer that lends nothing, which says why when it is given more all the same.
func unwanted(l Lender) error {
	_, err := l.Write([]byte{0})
	return &writeError{errors.Join(err, io.ErrShortWrite)}
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
