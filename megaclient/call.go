package megaclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// try is the outcome of sending a request once.
type try struct {
	answer    []byte // a JSON array or object
	reply     *reply // in place of answer: an array or object still to be read
	err       error  // why there is no answer
	retry     bool   // the same request is worth sending again
	sent      bool   // the server may have executed it all the same
	own       bool   // the refusal is that of the command, not of the whole request
	challenge string // the hashcash puzzle that it wants solved first
}

// failed makes the outcome of a request that got no (whole) answer.
func failed(err error) try {
	var t *transportError
	if errors.As(err, &t) {
		return try{err: err, retry: !errors.Is(err, ErrWrongPin), sent: t.sent}
	}
	return try{err: err, retry: true, sent: true}
}

// post sends one request to the command server and reads what comes back; with stream, an array is
// left to be read.
func (c *Client) post(ctx context.Context, address string, body []byte, proof string, idle time.Duration, stream bool) try {
	resp, t := c.send(ctx, address, body, proof, idle)
	if resp == nil {
		return t
	}
	if stream {
		return openStream(resp)
	}
	defer drain(resp)
	answer, err := readAll(resp.Body, c.timing.answer)
	if err != nil {
		return failed(err)
	}
	return judge(answer)
}

// send sends one request to the command server, and gives the reply if it is one with an answer.
func (c *Client) send(ctx context.Context, address string, body []byte, proof string, idle time.Duration) (*reply, try) {
	header := http.Header{"Content-Type": {"application/json"}}
	if proof != "" {
		header["X-Hashcash"] = []string{proof}
	}
	resp, err := c.roundTrip(ctx, request{method: http.MethodPost, url: address, body: body, header: header, idle: idle})
	if err != nil {
		return nil, failed(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, try{}
	}
	defer drain(resp)
	status := &StatusError{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	if resp.StatusCode == http.StatusPaymentRequired {
		return nil, try{err: status, retry: true, challenge: resp.Header.Get("X-Hashcash")}
	}
	// Who logs in is told to come back later, and doesn't insist.
	return nil, try{err: status, retry: status.RetryAfter == 0 || c.sid() != "" || c.link != nil, sent: true}
}

// retryAfter reads how long a server asks to be left alone: seconds, or a date.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// drain closes a reply so that its connection can be used again, if little is left of it.
func drain(r *reply) {
	_, _ = readAll(r.Body, 64<<10)
	_ = r.Body.Close()
}

// judge tells an answer from the refusal of a whole request (PROTOCOL 1.5).
func judge(answer []byte) try {
	answer = bytes.TrimSpace(answer)
	if refusal, ok := parseRefusal(answer); ok {
		return try{err: refusal, retry: isBusy(refusal)}
	}
	if err := checkJSON(answer); err != nil {
		return try{err: err, retry: true, sent: true}
	}
	return try{answer: answer}
}

// persistence says how long a request is worth sending again.
type persistence struct {
	// before is asked before each try; an error ends it.
	before func() error
	// after is told the outcome of each try that brought no answer.
	after func(try)
	// unreachable limits the time without any answer from the server; 0: no limit.
	unreachable time.Duration
}

// persist sends a request until it is answered, refused for good, or no longer worth sending. It
// waits between tries, solves hashcash puzzles, and obeys the token bucket.
func (c *Client) persist(ctx context.Context, p persistence, once func(ctx context.Context, proof string) try) try {
	waits := c.timing.newBackoff()
	var silent time.Time // since when the server has not answered at all
	puzzles, proof := 0, ""
	sid := c.sid()
	for {
		if err := c.mayTry(ctx, p); err != nil {
			return try{err: err}
		}
		begun := time.Now()
		t := once(ctx, proof)
		proof = ""
		if ctx.Err() == nil {
			c.noteConnection(withoutAnswer(t.err))
		}
		if t.err == nil {
			c.rate.ease(c.timing.requestBurst)
			return t
		}
		if p.after != nil {
			p.after(t)
		}
		if ctx.Err() != nil {
			return try{err: context.Cause(ctx)}
		}
		if !t.retry {
			return c.refused(ctx, sid, t)
		}
		if t.challenge != "" {
			given := time.Now()
			var err error
			if proof, err = c.solve(ctx, t.challenge, puzzles); err != nil {
				return try{err: err}
			}
			puzzles++
			took := time.Since(given) // it isn't the server that was silent
			begun = begun.Add(took)
			if !silent.IsZero() {
				silent = silent.Add(took)
			}
			if proof != "" {
				continue
			}
		}
		if silent.IsZero() {
			silent = begun // a server that takes a request and says nothing is as silent as none
		}
		if err := c.pace(ctx, t, waits, &silent, p.unreachable); err != nil {
			return try{err: err}
		}
	}
}

// withoutAnswer gives the reason why the server did not answer, nil if it did, be it by a refusal.
func withoutAnswer(err error) error {
	var refusal *Error
	if errors.As(err, &refusal) {
		return nil
	}
	return err
}

func (c *Client) mayTry(ctx context.Context, p persistence) error {
	if err := c.alive(); err != nil {
		return err
	}
	if err := c.rate.wait(ctx); err != nil {
		return err
	}
	if p.before != nil {
		return p.before()
	}
	return nil
}

// pace waits before the next try, or says that the server has been out of reach for too long.
func (c *Client) pace(ctx context.Context, t try, waits *backoff.ExponentialBackOff, silent *time.Time, limit time.Duration) error {
	lost := withoutAnswer(t.err) != nil
	if !lost {
		*silent = time.Time{}
		if errors.Is(t.err, ERATELIMIT) {
			c.rate.slow()
		}
	} else if limit > 0 && time.Since(*silent) >= limit {
		return fmt.Errorf("%w: %w", ErrUnreachable, t.err)
	}
	wait := waits.NextBackOff()
	if lost {
		wait = min(wait, c.timing.retryLost) // it may be back at any moment
	}
	c.log.WithError(t.err).WithField("wait", wait.Round(time.Millisecond)).Debug("request not answered, trying again")
	return sleep(ctx, wait)
}

// refused draws the consequences of a refusal for good.
func (c *Client) refused(ctx context.Context, sid string, t try) try {
	if sid == "" {
		return t
	}
	switch {
	case errors.Is(t.err, ESID):
		c.end(sid, t.err)
	case errors.Is(t.err, EBLOCKED) && !t.own: // else it is a file that is blocked
		t.err = c.whyBlocked(ctx)
	}
	return t
}

// whyBlocked asks why the account is blocked. It goes past the lanes, since whoever asks holds one.
func (c *Client) whyBlocked(ctx context.Context) error {
	blocked := &BlockedError{}
	t := c.post(ctx, c.commandURL(c.lanes[laneRead].nextID()), []byte(`[{"a":"whyamiblocked"}]`), "", c.timing.idle, false)
	if t.err == nil {
		var reasons []int
		if json.Unmarshal(t.answer, &reasons) == nil && len(reasons) == 1 {
			blocked.Reason = reasons[0]
		}
	}
	return blocked
}

// commandURL is where a request with this id goes.
func (c *Client) commandURL(id string) string {
	q := url.Values{"id": {id}}
	c.identify(q)
	return c.api.String() + "/cs?" + q.Encode()
}

// identify says who asks: a session, or whoever has a folder's link (PROTOCOL 1.1).
func (c *Client) identify(q url.Values) {
	if sid := c.sid(); sid != "" {
		q.Set("sid", sid)
	}
	if c.link != nil && !c.isFileLink() {
		q.Set("n", c.link.Handle)
	}
}

// command sends one command that may be repeated without harm and decodes its result into out, if
// that isn't nil. A refusal is an *Error. While the server is busy it goes on until ctx ends; when
// the server can't be reached it fails with ErrUnreachable after a while.
func (c *Client) command(ctx context.Context, lane laneID, cmd any, out any) error {
	ctx, done := c.bind(ctx)
	defer done()
	body, name, err := marshalCommands(cmd)
	if err != nil {
		return err
	}
	l := c.lanes[lane]
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	address := c.commandURL(l.nextID())
	t := c.persist(ctx, persistence{unreachable: c.timing.unreachable}, func(ctx context.Context, proof string) try {
		t := c.post(ctx, address, body, proof, c.timing.idle, false)
		if t.err == nil {
			t.err = decodeSingle(t.answer, out)
			t.retry, t.own = isBusy(t.err), true
		}
		return t
	})
	c.observe(name, t.err)
	return named(t.err, name)
}

// observe tells who wants to know how a command ended.
func (c *Client) observe(command string, err error) {
	if c.cfg.Observe != nil {
		c.cfg.Observe(command, err)
	}
}

// named puts the command's name into a refusal.
func named(err error, command string) error {
	var refusal *Error
	if errors.As(err, &refusal) {
		with := *refusal
		with.Command = command
		return &with
	}
	if err != nil {
		return fmt.Errorf("command %s: %w", command, err)
	}
	return nil
}

// isBusy recognises refusals that ask for the same request again (PROTOCOL 1.5).
func isBusy(err error) bool { return errors.Is(err, EAGAIN) || errors.Is(err, ERATELIMIT) }
