package megaclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// defaultQuotaWait is how long the transfer quota is taken to be used up when the server doesn't say.
const defaultQuotaWait = time.Hour

// exchange is one HTTP request to a storage server.
type exchange struct {
	method, url string
	body        []byte
	stall       time.Duration // without a byte in either direction for so long it is given up
}

// storage sends a request to a storage server. Errors are those of ctx, or *transportError, whose
// cause is errIdle after a stall. The answer's body is under the same limit.
func (c *Client) storage(ctx context.Context, x exchange) (*reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := newIdleWatch(x.stall, cancel)
	load := &payload{data: x.body, watch: watch, ctx: ctx, limit: c.transfers.upLimit}
	req, err := http.NewRequestWithContext(ctx, x.method, x.url, nil)
	if err != nil {
		watch.stop()
		return nil, &transportError{cause: errors.New("a bad address")}
	}
	if x.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	load.attach(req)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	req.Header.Set("Accept-Encoding", "identity") // ciphertext doesn't compress
	resp, err := c.http.Do(req)
	if err != nil {
		cause := context.Cause(ctx)
		watch.stop()
		load.release()
		return nil, &transportError{cause: withoutURL(err, cause), sent: true}
	}
	watch.pause()
	resp.Body = &storageBody{watchedBody: watchedBody{body: resp.Body, watch: watch, ctx: ctx}, load: load}
	return &reply{Response: resp, watch: watch}, nil
}

// payload is the body of a request. The transport may go on reading it when the request has already
// failed; its memory is used again, for plaintext first, so it must be taken away from the transport.
type payload struct {
	watch *idleWatch
	ctx   context.Context // of the request
	limit *rate.Limiter   // of what is sent; nil: none

	mu   sync.Mutex
	data []byte // GUARDED_BY(mu)
}

// attach makes it the body of a request, before anybody else has it.
func (p *payload) attach(req *http.Request) {
	size := int64(len(p.data))
	if size == 0 {
		return
	}
	req.Body, req.ContentLength = &outgoing{load: p}, size
	req.GetBody = func() (io.ReadCloser, error) { return &outgoing{load: p}, nil }
}

// release ends all reading.
func (p *payload) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.data = nil
}

// outgoing reads a payload once.
type outgoing struct {
	load *payload
	pos  int
}

func (o *outgoing) Read(b []byte) (int, error) {
	o.load.watch.touch()
	if o.load.limit != nil && len(b) > 0 {
		b = b[:min(len(b), o.load.limit.Burst())]
		if err := o.load.limit.WaitN(o.load.ctx, len(b)); err != nil {
			return 0, err
		}
		o.load.watch.touch()
	}
	o.load.mu.Lock()
	defer o.load.mu.Unlock()
	if o.pos >= len(o.load.data) {
		return 0, io.EOF // after release the transport finds the body too short, and drops the connection
	}
	n := copy(b, o.load.data[o.pos:])
	o.pos += n
	return n, nil
}

func (o *outgoing) Close() error { return nil }

// storageBody is an answer's body; with it the request's is over.
type storageBody struct {
	watchedBody
	load *payload
}

func (b *storageBody) Close() error {
	b.load.release()
	return b.watchedBody.Close()
}

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
