package megaclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"time"
)

// What the external tests need of the inside.

// QuickTiming lets all clients made from now on try again soon. What they give up after is as long as ever: a busy
// machine must not look like a failing server. Tests of giving up shorten that for themselves.
func QuickTiming() {
	defaultTiming = timing{
		retryFirst: 2 * time.Millisecond, retryMax: 10 * time.Millisecond, retryLost: 5 * time.Millisecond,
		idle: time.Minute, idleFetch: time.Minute, resend: time.Minute,
		unreachable: time.Minute, hurried: time.Minute,
		wait: 5 * time.Second, hashcash: time.Minute, requestRate: 5000, requestBurst: 5000, answer: 8 << 20,
	}
}

// SetUnreachable changes for how long a server may not be reached.
func SetUnreachable(c *Client, d time.Duration) { c.timing.unreachable = d }

// SetHurried changes that of clients that are made in a hurry, as for logins, from now on, and gives a function that takes it back.
func SetHurried(d time.Duration) (restore func()) {
	old := defaultTiming.hurried
	defaultTiming.hurried = d
	return func() { defaultTiming.hurried = old }
}

// SetResend changes for how long a client sends a batch again.
func SetResend(c *Client, d time.Duration) { c.timing.resend = d }

// SetIdle changes how long a client waits for a byte.
func SetIdle(c *Client, d time.Duration) { c.timing.idle, c.timing.idleFetch = d, d }

// SetWait changes how long a client waits for an event before asking again.
func SetWait(c *Client, d time.Duration) { c.timing.wait = d }

// RequestRate gives the requests a second that are allowed now.
func RequestRate(c *Client) float64 { return float64(c.rate.limiter.Limit()) }

// Age makes a batch look as if it had been sent that long ago.
func (b *Batch) Age(d time.Duration) { b.FirstSent.Nanos -= int64(d) }

// NewBare makes a client without a session.
func NewBare(cfg Config) (*Client, error) { return newClient(cfg, Session{}) }

// Ask sends one read command.
func (c *Client) Ask(ctx context.Context, cmd, out any) error {
	return c.command(ctx, laneRead, cmd, out)
}

// CheckPins looks at a connection.
func (cfg Config) CheckPins(s tls.ConnectionState) error { return cfg.checkPins(s) }

// SecureURL checks an address that the server gave.
func (c *Client) SecureURL(raw string) (string, error) { return c.secureURL(raw) }

// JudgeAnswer reads an answer of n results.
func (c *Client) JudgeAnswer(b []byte, n int) ([]Result, error) {
	t := judge(b)
	if t.err != nil {
		return nil, t.err
	}
	return c.decodeResults(t.answer, n)
}

// DecodeNode reads a node.
func (c *Client) DecodeNode(raw []byte) (*Node, bool) { return c.decodeNode(raw) }

// DecodePacket reads an event.
func (c *Client) DecodePacket(raw json.RawMessage) (Packet, error) { return c.decodePacket(raw) }

// ReadTree reads the answer of a full fetch.
func (c *Client) ReadTree(ctx context.Context, b []byte, fn func(*Node) error) (*FetchResult, error) {
	f := newFetch(c)
	err := f.run(ctx, bytes.NewReader(b), fn)
	return f.result, err
}

// MinTLS gives the oldest version of TLS that is spoken.
func MinTLS() uint16 {
	_, w := newHTTPClient(Config{})
	return w.tls.MinVersion
}

// Throttle is the token bucket of requests.
type Throttle = throttle

// NewThrottle makes one.
func NewThrottle(perSecond float64, burst int) *Throttle {
	return newThrottle(timing{requestRate: perSecond, requestBurst: burst})
}

// Trouble reports that there were too many requests, Quiet that one went well, Limit the requests a
// second, Take waits for a token.
func (t *throttle) Trouble()                       { t.slow() }
func (t *throttle) Quiet(burst int)                { t.ease(burst) }
func (t *throttle) Limit() float64                 { return float64(t.limiter.Limit()) }
func (t *throttle) Take(ctx context.Context) error { return t.wait(ctx) }

// DecodeUsers reads the users of a full fetch.
func DecodeUsers(raw []byte) []User { return decodeUsers(raw) }

// EachFileAttr takes an answer of a storage server apart.
func EachFileAttr(body []byte, fn func(FileAttr, []byte)) error { return eachFileAttr("1", body, fn) }
