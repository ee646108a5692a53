package megaclient

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A storage server that wasn't talked to for a while costs one or more round trips before the first byte can be asked
// for. So when a download URL is asked for, connections are made to the servers that URLs were for lately, and when
// URLs come for files that are soon to be read, to theirs: one to each that there is none to, and nothing is sent.

const (
	warmHosts  = 8                // servers that are remembered
	warmMost   = 4                // connections made ahead at a time
	warmRecent = 10 * time.Minute // a server is worth it for so long after a URL was for it
	warmKept   = 10 * time.Second // a connection that nobody needs is closed again
)

// origin is a server.
type origin struct {
	secure bool
	addr   string // host and port
}

// recentHost is a server that a download URL was for.
type recentHost struct {
	origin
	named time.Time
}

// warmer makes the connections of an HTTP transport, some ahead of need.
//
// Lock order: mu is a leaf.
type warmer struct {
	dialer *net.Dialer
	tls    *tls.Config
	most   int
	kept   time.Duration

	mu     sync.Mutex
	closed bool                 // GUARDED_BY(mu)
	open   map[origin]int       // connections; GUARDED_BY(mu)
	ahead  map[origin]*warmConn // made, or being made, and not used; GUARDED_BY(mu)
	recent []recentHost         // the last one first; GUARDED_BY(mu)
}

// warmConn is a connection that was made ahead.
type warmConn struct {
	made   chan struct{} // closed when conn and err are set
	conn   net.Conn
	err    error
	cancel context.CancelFunc
}

func newWarmer(cfg Config) *warmer {
	w := &warmer{
		dialer: newDialer(cfg.Silence),
		tls:    &tls.Config{MinVersion: tls.VersionTLS12, VerifyConnection: cfg.checkPins}, most: warmMost, kept: warmKept,
		open: map[origin]int{}, ahead: map[origin]*warmConn{},
	}
	if cfg.MaxConnections > 0 {
		w.most = min(w.most, cfg.MaxConnections)
	}
	return w
}

// dialPlain and dialTLS are what the transport asks for connections.
func (w *warmer) dialPlain(ctx context.Context, _, addr string) (net.Conn, error) {
	return w.get(ctx, origin{false, addr})
}

func (w *warmer) dialTLS(ctx context.Context, _, addr string) (net.Conn, error) {
	return w.get(ctx, origin{true, addr})
}

// get gives a connection that was made ahead, or a new one.
func (w *warmer) get(ctx context.Context, o origin) (net.Conn, error) {
	if c := w.take(o); c != nil {
		select {
		case <-c.made:
			if c.err == nil {
				return c.conn, nil
			}
		case <-ctx.Done():
			go c.drop()
			return nil, ctx.Err()
		}
	}
	return w.dial(ctx, o)
}

// take takes out the connection that was made ahead.
func (w *warmer) take(o origin) *warmConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.ahead[o]
	delete(w.ahead, o)
	return c
}

// drop closes a connection that nobody wants, also one that is still being made.
func (c *warmConn) drop() {
	c.cancel()
	<-c.made
	if c.err == nil {
		_ = c.conn.Close()
	}
}

func (w *warmer) dial(ctx context.Context, o origin) (net.Conn, error) {
	raw, err := w.dialer.DialContext(ctx, "tcp", o.addr)
	if err != nil {
		return nil, err
	}
	conn := w.count(raw, o)
	if !o.secure {
		return conn, nil
	}
	cfg := w.tls.Clone()
	if cfg.ServerName, _, err = net.SplitHostPort(o.addr); err == nil {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		secured := tls.Client(conn, cfg)
		if err = secured.HandshakeContext(ctx); err == nil {
			return secured, nil
		}
	}
	_ = conn.Close()
	return nil, err
}

// countedConn is counted while it is open.
type countedConn struct {
	net.Conn
	once sync.Once
	gone func()
}

// Close closes the connection.
func (c *countedConn) Close() error {
	c.once.Do(c.gone)
	return c.Conn.Close()
}

func (w *warmer) count(c net.Conn, o origin) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[o]++
	return &countedConn{Conn: c, gone: func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.open[o]--; w.open[o] == 0 {
			delete(w.open, o)
		}
	}}
}

// named notes the servers that download URLs are for.
func (w *warmer) named(urls []string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, raw := range urls {
		o, ok := originOf(raw)
		if !ok {
			continue
		}
		w.recent = slices.DeleteFunc(w.recent, func(r recentHost) bool { return r.origin == o })
		w.recent = slices.Insert(w.recent, 0, recentHost{o, time.Now()})
	}
	w.recent = w.recent[:min(len(w.recent), warmHosts)]
}

// originOf gives the server of a URL, unless it is reached through a proxy.
func originOf(raw string) (origin, bool) {
	u, err := url.Parse(raw)
	if err != nil {
		return origin{}, false
	}
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err != nil || proxy != nil {
		return origin{}, false
	}
	port := u.Port()
	if port == "" {
		port = u.Scheme
	}
	return origin{u.Scheme == "https", net.JoinHostPort(u.Hostname(), port)}, true
}

// warm makes connections to the servers named last, where there are none.
func (w *warmer) warm() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range w.recent {
		if i == w.most || w.closed || time.Since(r.named) > warmRecent {
			return
		}
		if w.open[r.origin] == 0 && w.ahead[r.origin] == nil {
			w.makeLocked(r.origin)
		}
	}
}

func (w *warmer) makeLocked(o origin) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &warmConn{made: make(chan struct{}), cancel: cancel}
	w.ahead[o] = c
	go func() { // ends with the dialer's timeout, or with drop
		c.conn, c.err = w.dial(ctx, o)
		close(c.made)
		time.AfterFunc(w.kept, func() { w.forget(o, c) })
	}()
}

// forget closes a connection that was made in vain.
func (w *warmer) forget(o origin, c *warmConn) {
	w.mu.Lock()
	mine := w.ahead[o] == c
	if mine {
		delete(w.ahead, o)
	}
	w.mu.Unlock()
	if mine {
		c.drop()
	}
}

// close closes what was made ahead, and makes no more.
func (w *warmer) close() {
	if w == nil {
		return
	}
	w.mu.Lock()
	left := w.ahead
	w.ahead, w.closed = map[origin]*warmConn{}, true
	w.mu.Unlock()
	for _, c := range left {
		c.drop()
	}
}
