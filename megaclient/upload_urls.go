package megaclient

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// UploadRequest says what an upload URL is wanted for.
type UploadRequest struct {
	Target Handle // whose owner pays; "" is the account itself
	Size   int64
}

// UploadURL is a URL for one upload, or the reason why there is none.
type UploadURL struct {
	URL  string
	Time int64 // when it was given, Unix seconds
	Err  error
}

// Give lets an upload that has none begin with the URL.
func (u UploadURL) Give(st *UploadState) {
	if u.Err == nil && st.URL == "" && st.Token == "" {
		st.URL, st.URLTime = u.URL, u.Time
	}
}

// UploadURLs asks for many upload URLs in one request: what Upload would ask for one by one. Results
// are in the order of the requests. One without a URL is no reason to give up: Upload asks for it
// again, and repeats what is worth repeating.
func (c *Client) UploadURLs(ctx context.Context, wanted []UploadRequest) ([]UploadURL, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	ctx, done := c.bind(ctx)
	defer done()
	cmds := make([]any, len(wanted))
	for i, w := range wanted {
		cmds[i] = newUploadCommand(w.Target, w.Size)
	}
	body, name, err := marshalCommands(cmds...)
	if err != nil {
		return nil, err
	}
	l := c.lanes[laneURL]
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	var elements []json.RawMessage
	address := c.commandURL(l.nextID())
	t := c.persist(ctx, persistence{unreachable: c.timing.unreachable}, func(ctx context.Context, proof string) try {
		t := c.post(ctx, address, body, proof, c.timing.idle, false)
		if t.err == nil {
			elements, t.err = splitAnswers(t.answer, len(wanted))
		}
		return t
	})
	if t.err != nil {
		return nil, named(t.err, name)
	}
	given := time.Now().Unix()
	urls := make([]UploadURL, len(wanted))
	for i, e := range elements {
		urls[i] = c.readUploadURL(e, given)
	}
	return urls, nil
}

func (c *Client) readUploadURL(raw json.RawMessage, given int64) UploadURL {
	if refusal, ok := parseRefusal(raw); ok {
		if isStorageQuota(refusal) {
			return UploadURL{Err: fmt.Errorf("%w: %w", ErrStorageQuota, refusal)}
		}
		return UploadURL{Err: refusal}
	}
	var answer struct {
		URL string `json:"p"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return UploadURL{Err: fmt.Errorf("%w: %w", ErrBadAnswer, err)}
	}
	address, err := c.secureURL(answer.URL)
	if err != nil {
		return UploadURL{Err: err}
	}
	return UploadURL{URL: address, Time: given}
}
