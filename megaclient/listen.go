package megaclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Listen brings the events after sn (PROTOCOL 8, the old dialect) to handle, answer by answer and in
// order, until ctx ends, handle returns an error (which is returned), or there is no going on:
// ErrTooOld (fetch the tree anew), ESID, *BlockedError. Trouble with the network or a busy server is
// waited out. An Answer without packets says that nothing was new at the time it was asked for; after
// it Listen waits until the server reports something, kick brings a value, or a minute is over.
// kick should be buffered (1), so that a value sent during a request is not lost; nil is allowed.
func (c *Client) Listen(ctx context.Context, sn string, kick <-chan struct{}, handle func(*Answer) error) error {
	ctx, done := c.bind(ctx)
	defer done()
	if c.isFileLink() {
		return listenToNothing(ctx, sn, kick, handle)
	}
	for {
		answer, wait, err := c.ask(ctx, sn)
		if err != nil {
			return fmt.Errorf("listening for events: %w", err)
		}
		sn = answer.SN
		if err := handle(answer); err != nil {
			return err
		}
		if wait == "" {
			continue
		}
		if err := c.await(ctx, wait, kick); err != nil {
			return fmt.Errorf("listening for events: %w", err)
		}
	}
}

// wireAnswer is what the event stream answers.
type wireAnswer struct {
	W  string            `json:"w"`
	A  []json.RawMessage `json:"a"`
	IR int               `json:"ir"`
	SN string            `json:"sn"`
}

// leadsOn tells whether it says from where to go on, which is kept, or where to wait.
func (w *wireAnswer) leadsOn() bool {
	return validText(w.SN, snLength) || w.SN == "" && w.W != ""
}

// ask fetches the events after sn. Without any, wait is the address to wait at.
func (c *Client) ask(ctx context.Context, sn string) (answer *Answer, wait string, err error) {
	q := url.Values{"sn": {sn}, "ssl": {"1"}}
	c.identify(q)
	address := c.api.String() + "/sc?" + q.Encode()
	var asked time.Time
	var w wireAnswer
	t := c.persist(ctx, persistence{}, func(ctx context.Context, proof string) try {
		asked, w = time.Now(), wireAnswer{}
		t := c.post(ctx, address, nil, proof, c.timing.wait, false)
		if t.err != nil {
			t.retry = t.retry && !errors.Is(t.err, errTooLong)
			return t
		}
		if err := tolerant(json.Unmarshal(t.answer, &w)); err != nil || !w.leadsOn() {
			return try{err: fmt.Errorf("%w: neither events nor a place to wait", ErrBadAnswer), retry: true}
		}
		return t
	})
	if c.link != nil && (t.err == nil || errors.Is(t.err, ENOENT)) {
		c.linkGone.Store(t.err != nil)
	}
	if t.err != nil {
		return nil, "", streamError(t.err)
	}
	answer = &Answer{SN: sn, Asked: asked, More: w.IR != 0}
	if w.SN != "" {
		answer.SN = w.SN
	}
	c.traceEvents(w.A)
	answer.Packets = c.decodePackets(w.A)
	if len(w.A) > 0 || w.SN != "" && w.SN != sn || answer.More {
		return answer, "", nil
	}
	if wait, err = c.secureURL(w.W); err != nil {
		c.log.Warn("the event stream names an unusable address to wait at; asking again instead")
		wait = waitHere
	}
	return answer, wait, nil
}

// waitHere stands for waiting without the server's help.
const waitHere = "-"

// streamError gives the refusals of the event stream their meaning (PROTOCOL 8.6). Events that can't be taken in are as
// good as lost.
func streamError(err error) error {
	if errors.Is(err, ETOOMANY) || errors.Is(err, EARGS) || errors.Is(err, errTooLong) {
		return fmt.Errorf("%w: %w", ErrTooOld, err)
	}
	return err
}

// await blocks until there may be something new. Whatever the wait address answers, even an error,
// the next thing to do is to ask.
func (c *Client) await(outer context.Context, address string, kick <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(outer, c.timing.wait)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- c.longPoll(ctx, address) }()
	var err error
	select {
	case err = <-over:
	case <-kick:
		cancel()
		<-over
	}
	if err != nil && ctx.Err() == nil {
		// Neither a report nor the end of the wait: don't turn asking into a busy loop.
		select {
		case <-kick:
		case <-ctx.Done():
		case <-time.After(c.timing.retryFirst * 4):
		}
	}
	return context.Cause(outer)
}

func (c *Client) longPoll(ctx context.Context, address string) error {
	if address == waitHere {
		return sleep(ctx, c.timing.wait)
	}
	resp, err := c.roundTrip(ctx, request{method: http.MethodPost, url: address})
	if err != nil {
		return err
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK {
		return &StatusError{Status: resp.StatusCode}
	}
	_, err = readAll(resp.Body, 64<<10)
	return err
}
