package megaclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Execute sends a batch and gives the fate of each operation. It may be sent more than once, always
// the same bytes under the same id, which the server recognises (PROTOCOL 1.2); but a batch that may
// have reached the server is never sent again later than a minute after the first time, since the
// server could have forgotten it and would do it twice. Then, and when ctx ends in between, the error
// is ErrUncertain (with the cause): the fate is to be found by the tags, in the events.
//
// Any other error means that nothing was executed. While the server says that it is busy, Execute
// goes on; it is in ctx's hand to end that. Not for concurrent use with the same Batch. A batch that
// was stored by another run of the process is ErrUncertain at once.
func (c *Client) Execute(ctx context.Context, b *Batch) ([]Result, error) {
	if b.Run != run {
		return nil, fmt.Errorf("a batch of an earlier run: %w", ErrUncertain)
	}
	ctx, done := c.bind(ctx)
	defer done()
	l := c.lanes[laneCommand]
	if err := l.enter(ctx); err != nil {
		return nil, uncertainIf(!b.FirstSent.IsZero(), err)
	}
	defer l.leave()

	var results []Result
	address := c.commandURL(b.ID)
	p := persistence{unreachable: c.timing.resend, before: func() error { return c.mark(b) }, after: b.settle}
	t := c.persist(ctx, p, func(ctx context.Context, proof string) try {
		t := c.post(ctx, address, b.Body, proof, c.timing.idle, false)
		if t.err == nil {
			if results, t.err = c.decodeResults(t.answer, len(b.Tags)); t.err != nil {
				t.retry, t.sent = true, true
			}
		}
		return t
	})
	c.observe("batch", t.err)
	if t.err == nil {
		return results, nil
	}
	if same, ok := c.refusedAll(b, t.err); ok {
		return same, nil
	}
	return nil, uncertainIf(!b.FirstSent.IsZero(), t.err)
}

// mark notes when the batch is first sent, and refuses to send it when that is too long ago.
func (c *Client) mark(b *Batch) error {
	t := now()
	if b.FirstSent.IsZero() {
		b.FirstSent = t
		return nil
	}
	if age := time.Duration(t.Nanos - b.FirstSent.Nanos); t.Boot != b.FirstSent.Boot || age < 0 || age > c.timing.resend {
		return fmt.Errorf("no answer for %v: %w", age.Round(time.Second), ErrUncertain)
	}
	return nil
}

// settle forgets that the batch was sent if the server surely has not executed it: it refused it as
// it stands, or it never got there, and no earlier try is in doubt.
func (b *Batch) settle(t try) {
	if t.sent {
		b.doubt = true
	}
	if !b.doubt {
		b.FirstSent = Moment{}
	}
}

// refusedAll makes the refusal of the whole batch that of each operation. What says something about
// the session, the network or the server's state is no such thing.
func (c *Client) refusedAll(b *Batch, err error) ([]Result, bool) {
	var refusal *Error
	if b.doubt || !errors.As(err, &refusal) {
		return nil, false
	}
	switch refusal.Code {
	case ESID, EBLOCKED, EAGAIN, ERATELIMIT:
		return nil, false
	}
	results := make([]Result, len(b.Tags))
	for i := range results {
		results[i].Err = refusal
	}
	return results, true
}

func uncertainIf(doubt bool, err error) error {
	if doubt && !errors.Is(err, ErrUncertain) {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return err
}

// decodeResults reads the results of the operations.
func (c *Client) decodeResults(answer []byte, n int) ([]Result, error) {
	elements, err := splitAnswers(answer, n)
	if err != nil {
		return nil, err
	}
	results := make([]Result, n)
	for i, e := range elements {
		results[i] = c.decodeResult(e)
	}
	return results, nil
}

// decodeResult reads what any of the commands answers (PROTOCOL 7): a number, the handle of a link,
// or an object.
func (c *Client) decodeResult(raw json.RawMessage) Result {
	if refusal, ok := parseRefusal(raw); ok {
		return Result{Err: refusal}
	}
	if raw[0] == '"' {
		var link Handle
		_ = json.Unmarshal(raw, &link)
		return Result{Link: link}
	}
	if raw[0] != '{' {
		if n, err := strconv.Atoi(string(raw)); err != nil || n < 0 {
			return Result{Err: fmt.Errorf("%w: %w", ErrUncertain, ErrBadAnswer)}
		}
		return Result{}
	}
	var object struct {
		F  []json.RawMessage `json:"f"`
		E  json.RawMessage   `json:"e"`
		R  json.RawMessage   `json:"r"`
		PH Handle            `json:"ph"`
	}
	if err := tolerant(json.Unmarshal(raw, &object)); err != nil {
		return Result{Err: fmt.Errorf("%w: %w", ErrUncertain, err)}
	}
	r := Result{Link: object.PH, NodeErrs: codes(object.E)}
	for _, f := range object.F {
		if n, ok := c.decodeNode(f); ok {
			r.Nodes = append(r.Nodes, n)
		}
	}
	for _, err := range codes(object.R) {
		r.Err = err
	}
	if len(r.NodeErrs) > 0 && len(object.F) == 0 {
		for _, err := range r.NodeErrs {
			r.Err = err
		}
	}
	return r
}

// codes reads refusals by index: [0,-9] or {"1":-9}.
func codes(raw json.RawMessage) map[int]error {
	list := make(map[int]error)
	var array []int
	var sparse map[int]int
	if json.Unmarshal(raw, &array) == nil {
		for i, code := range array {
			if code < 0 {
				list[i] = &Error{Code: ErrorCode(code)}
			}
		}
	} else if json.Unmarshal(raw, &sparse) == nil {
		for i, code := range sparse {
			if code < 0 {
				list[i] = &Error{Code: ErrorCode(code)}
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}
