package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// What takes long tells how far it is: its answer is lines, progress until the last one, which is the result.

// line is one of them.
type line[P, R any] struct {
	Progress *P     `json:"progress,omitempty"`
	Report   *R     `json:"report,omitempty"`
	Error    *Error `json:"failed,omitempty"`
}

// tellEvery is how often progress is passed on.
const tellEvery = 200 * time.Millisecond

// streamed answers a request with do's progress and result.
func streamed[In, P, R any](describe Describe, do func(ctx context.Context, in In, tell func(P)) (R, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&in); err != nil {
			reply(w, http.StatusBadRequest, &Error{Message: "malformed request", Exit: 2})
			return
		}
		var mu sync.Mutex
		var last time.Time
		send := func(l line[P, R]) {
			_ = json.NewEncoder(w).Encode(l) // the asker went away: r's context ends
			_ = http.NewResponseController(w).Flush()
		}
		report, err := do(r.Context(), in, func(p P) {
			mu.Lock()
			defer mu.Unlock()
			if time.Since(last) >= tellEvery {
				last = time.Now()
				send(line[P, R]{Progress: &p})
			}
		})
		if err != nil {
			send(line[P, R]{Error: describe(err)})
			return
		}
		send(line[P, R]{Report: &report})
	}
}

// follow asks for what is streamed.
func follow[P, R any](ctx context.Context, c *Client, what string, in any, tell func(P)) (report R, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return report, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://megadisk/"+what, bytes.NewReader(body))
	if err != nil {
		return report, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return report, fmt.Errorf("asking the process that holds the mount: %w", err)
	}
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); ; {
		var l line[P, R]
		if err := lines.Decode(&l); errors.Is(err, io.EOF) {
			return report, errors.New("the process that holds the mount ended")
		} else if err != nil {
			return report, err
		}
		switch {
		case l.Error != nil:
			return report, l.Error
		case l.Report != nil:
			return *l.Report, nil
		case l.Progress != nil:
			tell(*l.Progress)
		}
	}
}
