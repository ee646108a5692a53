package megaclient

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// maxURLBatch is how many download URLs are asked for in one request.
const maxURLBatch = 128

// PrepareURLs asks for the download URLs of many files in few requests, so that ReadContent then needs none
// of its own. Files whose URL is known, or being asked for, are passed over, and so is what the server
// refuses: ReadContent says why. The error is that of a whole request.
func (c *Client) PrepareURLs(ctx context.Context, handles []Handle) error {
	for len(handles) > 0 {
		n := min(len(handles), maxURLBatch)
		if err := c.prepareURLs(ctx, handles[:n]); err != nil {
			return err
		}
		handles = handles[n:]
	}
	return nil
}

func (c *Client) prepareURLs(ctx context.Context, handles []Handle) error {
	var (
		entries []*urlEntry
		cmds    []any
	)
	defer func() {
		for _, e := range entries {
			<-e.slot
		}
	}()
	for _, h := range handles {
		if e, free := c.transfers.urls.claim(h); free {
			entries = append(entries, e)
			cmds = append(cmds, c.urlCommand(h))
		}
	}
	if len(cmds) == 0 {
		return nil
	}
	asked := time.Now()
	c.warmer.warm()
	answers, err := c.commands(ctx, laneURL, cmds)
	if err != nil {
		return getRefusal(err)
	}
	for i, raw := range answers {
		var a getAnswer
		if _, refused := parseRefusal(raw); refused || json.Unmarshal(raw, &a) != nil || a.check() != nil {
			continue
		}
		if u, err := c.downloadURL(&a, asked); err == nil {
			entries[i].setLocked(u)
		}
	}
	c.warmer.warm()
	return nil
}

// claim takes the slot of a handle whose URL isn't known, if it is free.
func (u *urlCache) claim(h Handle) (*urlEntry, bool) {
	e := u.entry(h)
	select {
	case e.slot <- struct{}{}:
	default:
		return nil, false
	}
	if e.url != nil && time.Since(e.url.asked) < u.timing.urlLife {
		<-e.slot
		return nil, false
	}
	return e, true
}

// commands sends several commands that may be repeated without harm in one request, and gives what each
// was answered. Otherwise it is as command.
func (c *Client) commands(ctx context.Context, lane laneID, cmds []any) (answers []json.RawMessage, err error) {
	ctx, done := c.bind(ctx)
	defer done()
	body, name, err := marshalCommands(cmds...)
	if err != nil {
		return nil, err
	}
	l := c.lanes[lane]
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	address := c.commandURL(l.nextID())
	t := c.persist(ctx, persistence{unreachable: c.timing.unreachable}, func(ctx context.Context, proof string) try {
		t := c.post(ctx, address, body, proof, c.timing.idle, false)
		if t.err == nil {
			answers, t.err = splitAnswers(t.answer, len(cmds))
			t.retry = errors.Is(t.err, ErrBadAnswer)
		}
		return t
	})
	return answers, named(t.err, name)
}
