package megaclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// defaultQuotaWait is how long the transfer quota is taken to be used up when the server doesn't say.
const defaultQuotaWait = time.Hour

// exchange is one HTTP request to a storage server.
type exchange struct {
	method, url string
	body        []byte
	stall       time.Duration // without a byte in either direction for so long it is given up
	moved       func(n int)   // told of each part of the body that left; may be nil
}

// storage sends a request to a storage server. Errors are those of ctx, or *transportError, whose
// cause is errIdle after a stall. The answer's body is under the same limit.
func (c *Client) storage(ctx context.Context, x exchange) (*reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := newIdleWatch(x.stall, cancel)
	body := func() io.ReadCloser {
		return io.NopCloser(&outgoing{Reader: bytes.NewReader(x.body), watch: watch, moved: x.moved})
	}
	req, err := http.NewRequestWithContext(ctx, x.method, x.url, nil)
	if err != nil {
		watch.stop()
		return nil, &transportError{cause: errors.New("a bad address")}
	}
	if x.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	if len(x.body) > 0 {
		req.Body, req.ContentLength = body(), int64(len(x.body))
		req.GetBody = func() (io.ReadCloser, error) { return body(), nil }
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	req.Header.Set("Accept-Encoding", "identity") // ciphertext doesn't compress
	resp, err := c.http.Do(req)
	if err != nil {
		cause := context.Cause(ctx)
		watch.stop()
		return nil, &transportError{cause: withoutURL(err, cause), sent: true}
	}
	watch.pause()
	resp.Body = &watchedBody{body: resp.Body, watch: watch, ctx: ctx}
	return &reply{Response: resp, watch: watch}, nil
}

// outgoing is a request's body on its way.
type outgoing struct {
	*bytes.Reader
	watch *idleWatch
	moved func(int)
}

// WriteTo is hidden: the transport shall read in parts, so that progress shows.
func (o *outgoing) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, readerOnly{o})
}

func (o *outgoing) Read(p []byte) (int, error) {
	o.watch.touch()
	n, err := o.Reader.Read(p)
	if n > 0 && o.moved != nil {
		o.moved(n)
	}
	return n, err
}

type readerOnly struct{ io.Reader }

// isStall tells whether a transfer failed because nothing came for too long.
func isStall(err error) bool { return errors.Is(err, errIdle) }

// overQuota reads how long an answer with status 509 says that the transfer quota is used up.
func overQuota(h http.Header) *OverQuotaError {
	seconds, err := strconv.ParseInt(h.Get("X-MEGA-Time-Left"), 10, 64)
	if err != nil {
		seconds = 0
	}
	return quotaError(seconds)
}

func quotaError(seconds int64) *OverQuotaError {
	const most = int64(366 * 24 * time.Hour / time.Second)
	if seconds <= 0 {
		return &OverQuotaError{Left: defaultQuotaWait}
	}
	return &OverQuotaError{Left: time.Duration(min(seconds, most)) * time.Second}
}

// statusOverQuota is MEGA's own HTTP status for a transfer quota that is used up.
const statusOverQuota = 509

// urlIsDead tells the statuses by which a storage server says that a URL is no longer good.
func urlIsDead(status int) bool {
	return status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusGone
}
