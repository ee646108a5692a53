package megaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"megadisk/megaclient/keymem"
	"megadisk/megaclient/megacrypto"

	"github.com/sirupsen/logrus"
)

// Client speaks for one account, or for one public link (OpenLink). All methods may be called from several goroutines at once.
//
// Lock order: a lane's slot before mu; mu is never held across the network or a callback.
type Client struct {
	// Dependencies.
	log    logrus.FieldLogger
	http   *http.Client
	warmer *warmer // of its connections

	// Constant data.
	cfg     Config
	api     *url.URL // base address, its path without a slash at the end
	session Session  // as it was at first: sid has its id now, and masterKey its key
	master  *keymem.Key
	link    *megacrypto.Link // the public link that it speaks for; nil: it is an account
	timing  timing
	closed  context.Context // ends with Close; its cause is ErrClosed
	close   context.CancelCauseFunc

	// Mutable state.
	lanes     [laneCount]*lane
	rate      *throttle
	rsa       privateKey
	transfers *transfers  // content: connection limits and download URLs
	puzzle    *lane       // the right to use all cores for a hashcash puzzle
	linkGone  atomic.Bool // as the event stream last said

	mu         sync.Mutex
	ownShares  map[Handle]struct{} // GUARDED_BY(mu): folders that we share
	incoming   map[Handle]struct{} // GUARDED_BY(mu): folders that others share with us
	connection Connection          // GUARDED_BY(mu)
	sessionID  string              // GUARDED_BY(mu)
	ended      error               // GUARDED_BY(mu): the session is over; what every call gets from then on
	shares     map[Handle]shareKey // GUARDED_BY(mu)
	modern     bool                // GUARDED_BY(mu): the account has ^!keys
	linkName   string              // GUARDED_BY(mu): of the folder that the link opens
}

// timing gathers the times and limits that tests shorten.
type timing struct {
	retryFirst   time.Duration // first wait between two tries
	retryMax     time.Duration // longest such wait
	retryLost    time.Duration // longest such wait while the server is out of reach
	idle         time.Duration // a command without a byte for so long is given up (PROTOCOL 1.8)
	idleFetch    time.Duration // the same for the full fetch
	resend       time.Duration // a batch is sent again for so long after it was first sent (the design's "exactly once")
	unreachable  time.Duration // a read command without any answer fails after so long
	hurried      time.Duration // the same while somebody is waiting for it, as in a login
	wait         time.Duration // longest wait for an event before asking again
	hashcash     time.Duration // one attempt at a hashcash puzzle, before asking for another
	requestRate  float64       // requests a second at most
	requestBurst int
	// answer bounds an answer, in bytes after decompression; only the full fetch, which is read as a
	// stream, may be longer.
	answer int64
}

var defaultTiming = timing{
	retryFirst:   250 * time.Millisecond,
	retryMax:     2 * time.Minute,
	retryLost:    10 * time.Second,
	idle:         2 * time.Minute,
	idleFetch:    10 * time.Minute,
	resend:       time.Minute,
	unreachable:  30 * time.Second,
	hurried:      8 * time.Second,
	wait:         time.Minute,
	hashcash:     100 * time.Second,
	requestRate:  100,
	requestBurst: 200,
	answer:       128 << 20,
}

func newClient(cfg Config, s Session) (*Client, error) {
	if cfg.APIURL == "" {
		cfg.APIURL = DefaultAPIURL
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "megadisk"
	}
	if cfg.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		cfg.Log = silent
	}
	api, err := url.Parse(strings.TrimRight(cfg.APIURL, "/"))
	if err != nil || api.Host == "" || (api.Scheme != "https" && api.Scheme != "http") || api.RawQuery != "" || api.User != nil {
		return nil, fmt.Errorf("%q is no address of a command server: it must look like %s", cfg.APIURL, DefaultAPIURL)
	}
	if len(cfg.Pins) > 0 && api.Scheme != "https" {
		return nil, fmt.Errorf("%q has no key that could be pinned: it must begin with https", cfg.APIURL)
	}
	master := keymem.Keep(s.MasterKey[:])
	s.MasterKey = megacrypto.Key{}
	c := &Client{
		log: cfg.Log, cfg: cfg, api: api, session: s, master: master, sessionID: s.SID, timing: defaultTiming,
		rate:   newThrottle(defaultTiming),
		puzzle: newLane(1), transfers: newTransfers(cfg),
		shares: make(map[Handle]shareKey), ownShares: make(map[Handle]struct{}), incoming: make(map[Handle]struct{}),
	}
	c.http, c.warmer = newHTTPClient(cfg)
	for i := range c.lanes {
		c.lanes[i] = newLane(laneWidths[i])
	}
	c.closed, c.close = context.WithCancelCause(context.Background())
	return c, nil
}

// Resume goes on with a stored session. It asks nobody: whether the session is still alive shows
// with the first command (ESID if not). What is no session of ours is ErrBadSession.
func Resume(cfg Config, s Session) (*Client, error) {
	sid, err := megacrypto.DecodeBase64(s.SID)
	if err != nil || len(sid) != sidLength {
		return nil, ErrBadSession
	}
	if !validUser(s.User) {
		return nil, fmt.Errorf("%w: it names no account", ErrBadSession)
	}
	return newClient(cfg, s)
}

// Hurry lets commands from now on be given up as soon as a login is when the server is out of reach: somebody is
// waiting for them. It is called before the first one.
func (c *Client) Hurry() { c.timing.unreachable = c.timing.hurried }

// User is the account that the client speaks for.
func (c *Client) User() UserHandle { return c.session.User }

// Session gives what Resume needs later. It holds the master key.
func (c *Client) Session() Session {
	s := c.session
	s.SID, s.MasterKey = c.sid(), c.masterKey()
	return s
}

// masterKey is the account's, or the link's.
func (c *Client) masterKey() (key megacrypto.Key) {
	c.master.CopyTo(key[:])
	return key
}

// ErrOtherAccount says that a session is not one of the account that the client speaks for.
var ErrOtherAccount = errors.New("the session is one of another account")

// Revive goes on with a new session of the same account, after the old one has ended.
func (c *Client) Revive(s Session) error {
	if s.User != c.session.User || s.MasterKey != c.masterKey() {
		return ErrOtherAccount
	}
	if sid, err := megacrypto.DecodeBase64(s.SID); err != nil || len(sid) != sidLength {
		return ErrBadSession
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessionID, c.ended = s.SID, nil
	return nil
}

// sid is the id of the session.
func (c *Client) sid() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessionID
}

// Close ends what is running, which then fails with ErrClosed. The session stays alive.
func (c *Client) Close() {
	c.close(ErrClosed)
	c.http.CloseIdleConnections()
	c.warmer.close()
}

// Logout ends the session on the server, for all who use it, and closes the client.
func (c *Client) Logout(ctx context.Context) error {
	defer c.Close()
	err := c.command(ctx, laneCommand, map[string]string{"a": "sml"}, nil)
	if errors.Is(err, ESID) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ending the session: %w", err)
	}
	c.end(c.sid(), &Error{Code: ESID})
	return nil
}

// end remembers that a session is over: from now on every call fails with err. A late answer about one that has been
// replaced changes nothing.
func (c *Client) end(sid string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil && c.sessionID == sid {
		c.ended = err
	}
}

// alive gives the reason why nothing can be sent any more, nil while all is well.
func (c *Client) alive() error {
	if c.closed.Err() != nil {
		return ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Connection says whether the server answers.
type Connection struct {
	Err   error     // why the last request got no answer; nil: it got one, or none was made yet
	Since time.Time // when that began
}

// Connection gives the state of the connection as the last request found it.
func (c *Client) Connection() Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connection
}

// noteConnection remembers how a try went; err is nil if the server answered.
func (c *Client) noteConnection(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.connection.Since.IsZero() || (err == nil) != (c.connection.Err == nil) {
		c.connection.Since = time.Now()
	}
	c.connection.Err = err
}

// bind makes a context that also ends when the client is closed.
func (c *Client) bind(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.closed, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}
