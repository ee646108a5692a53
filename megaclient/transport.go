package megaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

const connectTimeout = 12 * time.Second // PROTOCOL 1.8

// errIdle is the cause when a request ended because nothing came for too long.
var errIdle = errors.New("nothing came for too long")

// newHTTPClient makes the one client that all requests share: TLS 1.2 or newer, no redirects (they
// could lead to plain http), HTTP/1.1 (so that parallel transfers are parallel connections). Its connections come
// from the warmer, which is nil where the caller brings a client.
func newHTTPClient(cfg Config) (*http.Client, *warmer) {
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if cfg.HTTP != nil {
		own := *cfg.HTTP
		own.CheckRedirect = refuse
		return &own, nil
	}
	w := newWarmer(cfg)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Client{
		CheckRedirect: refuse,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            w.dialPlain,
			DialTLSContext:         w.dialTLS,
			TLSClientConfig:        w.tls, // behind a proxy
			TLSHandshakeTimeout:    connectTimeout,
			Protocols:              protocols,
			MaxIdleConns:           100,
			MaxIdleConnsPerHost:    2*16 + 4,
			IdleConnTimeout:        90 * time.Second,
			ExpectContinueTimeout:  time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}, w
}

// maxAddress bounds an address that the server gives: it is kept with what it is for.
const maxAddress = 8 << 10

// secureURL checks an address that the server gave: https, unless the API itself is plain http.
// Where MEGA gives http all the same, https is used.
func (c *Client) secureURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || len(raw) > maxAddress {
		return "", fmt.Errorf("%w: a bad address", ErrBadAnswer)
	}
	switch {
	case u.Scheme == "https", u.Scheme == "http" && c.api.Scheme == "http":
	case u.Scheme == "http":
		u.Scheme = "https"
	default:
		return "", fmt.Errorf("%w: an address of a kind that isn't used", ErrBadAnswer)
	}
	return u.String(), nil
}

// request is one HTTP request.
type request struct {
	method, url string
	body        []byte
	header      http.Header
	idle        time.Duration // without a byte for so long it is given up; 0: no limit
}

// reply is an answer whose body is still to be read and must be closed.
type reply struct {
	*http.Response
	watch *idleWatch
}

// transportError is a request that got no (whole) answer.
type transportError struct {
	cause error
	sent  bool // some of it may have reached the server
}

func (e *transportError) Error() string { return e.cause.Error() }
func (e *transportError) Unwrap() error { return e.cause }

// roundTrip sends a request. Every error but that of ctx is a *transportError. Reading the body is
// under the same idle limit, and so is sending, part by part; closing it frees everything.
func (c *Client) roundTrip(ctx context.Context, r request) (*reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := newIdleWatch(r.idle, cancel)
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true); watch.touch() }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), r.method, r.url, nil)
	if err != nil {
		watch.stop()
		return nil, &transportError{cause: errors.New("a bad address")}
	}
	load := &payload{data: r.body, watch: watch, ctx: ctx}
	load.attach(req)
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		cause := context.Cause(ctx)
		watch.stop()
		return nil, &transportError{cause: withoutURL(err, cause), sent: sent.Load()}
	}
	watch.pause()
	resp.Body = &watchedBody{body: resp.Body, watch: watch, ctx: ctx}
	return &reply{Response: resp, watch: watch}, nil
}

// withoutURL takes the address, which holds the session id, out of an error.
func withoutURL(err, cause error) error {
	if cause != nil {
		return cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// idleWatch cancels a request when nothing has touched it for a while.
type idleWatch struct {
	limit  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func newIdleWatch(limit time.Duration, cancel context.CancelCauseFunc) *idleWatch {
	w := &idleWatch{limit: limit, cancel: cancel}
	if limit > 0 {
		w.timer = time.AfterFunc(limit, func() { cancel(errIdle) })
	}
	return w
}

func (w *idleWatch) touch() {
	if w.timer != nil {
		w.timer.Reset(w.limit)
	}
}

// pause stops the clock while nobody reads; the next touch starts it again.
func (w *idleWatch) pause() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// stop ends the watch and the request's context.
func (w *idleWatch) stop() {
	w.pause()
	w.cancel(nil)
}

// watchedBody touches the watch with every byte that comes. The clock runs only while somebody reads.
type watchedBody struct {
	body  io.ReadCloser
	watch *idleWatch
	ctx   context.Context
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.touch()
	n, err := b.body.Read(p)
	b.watch.pause()
	if err != nil && err != io.EOF {
		err = &transportError{cause: withoutURL(err, context.Cause(b.ctx)), sent: true}
	}
	return n, err
}

func (b *watchedBody) Close() error {
	err := b.body.Close()
	b.watch.stop()
	return err
}

// errTooLong is that of an answer which is longer than anything that will be read. It would be as long again.
var errTooLong = fmt.Errorf("%w: it is too long", ErrBadAnswer)

// readAll reads a body that must not be longer than limit.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%w: more than %d bytes", errTooLong, limit)
	}
	return b, err
}
