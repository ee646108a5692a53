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

// Content is what the process can do for the content of files, beside showing it. All paths are absolute, inside a
// mount. None of it goes through the mount.
type Content interface {
	// Verify reads all below path and compares it with its keys. tell is called now and then; never two at once.
	Verify(ctx context.Context, path string, tell func(VerifyProgress)) (VerifyReport, error)
	// Accept lets the files at or below path be read that were found not to match their keys, and tells how many.
	Accept(ctx context.Context, path string) (int, error)
	// Pin keeps all below path here, and Unpin doesn't any more.
	Pin(ctx context.Context, path string) error
	Unpin(ctx context.Context, path string) error
}

// VerifyProgress tells how far a Verify is.
type VerifyProgress struct {
	Files, AllFiles int
	Bytes, AllBytes int64
}

// VerifyReport is what `megadisk verify --json` prints. Paths are relative to what was verified.
type VerifyReport struct {
	Verified   int          `json:"verified"` // files that are what their key says
	Bytes      int64        `json:"bytes"`    // in them
	Accepted   int          `json:"accepted"` // files that are not, and that their owner has accepted
	Pending    int          `json:"pending"`  // files whose content isn't in the cloud yet
	Wrong      []string     `json:"wrong"`    // files that are not what their key says
	Unreadable []Unreadable `json:"unreadable"`
}

// Unreadable is a file that could not be read.
type Unreadable struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Pinned is a path that is kept here, for status.
type Pinned struct {
	Path  string `json:"path"` // in the drive
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
	Here  int64  `json:"here"` // of these, bytes that can be read without the network
	// Problem says why not all is here and won't be for now.
	Problem string `json:"problem,omitempty"`
}

// verifyLine is one line of a Verify's answer: progress, until the last one.
type verifyLine struct {
	Progress *VerifyProgress `json:"progress,omitempty"`
	Report   *VerifyReport   `json:"report,omitempty"`
	Error    *Error          `json:"failed,omitempty"`
}

// tellEvery is how often progress is passed on.
const tellEvery = 200 * time.Millisecond

// contentHandlers answers what Content can do.
func contentHandlers(mux *http.ServeMux, b Content, describe Describe) {
	mux.HandleFunc("POST /accept", endpoint(describe, func(ctx context.Context, path string) (any, error) { return b.Accept(ctx, path) }))
	mux.HandleFunc("POST /pin", endpoint(describe, func(ctx context.Context, path string) (any, error) { return nil, b.Pin(ctx, path) }))
	mux.HandleFunc("POST /unpin", endpoint(describe, func(ctx context.Context, path string) (any, error) { return nil, b.Unpin(ctx, path) }))
	mux.HandleFunc("POST /verify", func(w http.ResponseWriter, r *http.Request) {
		var path string
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&path); err != nil {
			reply(w, http.StatusBadRequest, &Error{Message: "malformed request", Exit: 2})
			return
		}
		var mu sync.Mutex
		var last time.Time
		send := func(line verifyLine) {
			_ = json.NewEncoder(w).Encode(line) // the asker went away: r's context ends
			_ = http.NewResponseController(w).Flush()
		}
		report, err := b.Verify(r.Context(), path, func(p VerifyProgress) {
			mu.Lock()
			defer mu.Unlock()
			if time.Since(last) >= tellEvery {
				last = time.Now()
				send(verifyLine{Progress: &p})
			}
		})
		if err != nil {
			send(verifyLine{Error: describe(err)})
			return
		}
		send(verifyLine{Report: &report})
	})
}

// Verify reads all below path and compares it with its keys; tell is told how far that is.
func (c *Client) Verify(ctx context.Context, path string, tell func(VerifyProgress)) (VerifyReport, error) {
	body, err := json.Marshal(path)
	if err != nil {
		return VerifyReport{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://megadisk/verify", bytes.NewReader(body))
	if err != nil {
		return VerifyReport{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return VerifyReport{}, fmt.Errorf("asking the process that holds the mount: %w", err)
	}
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); ; {
		var line verifyLine
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return VerifyReport{}, errors.New("the process that holds the mount ended")
		} else if err != nil {
			return VerifyReport{}, err
		}
		switch {
		case line.Error != nil:
			return VerifyReport{}, line.Error
		case line.Report != nil:
			return *line.Report, nil
		case line.Progress != nil:
			tell(*line.Progress)
		}
	}
}

// Accept lets what does not match its key be read, and tells how many files that are.
func (c *Client) Accept(ctx context.Context, path string) (n int, err error) {
	err = c.call(ctx, "accept", path, &n)
	return n, err
}

// Pin keeps all below path here.
func (c *Client) Pin(ctx context.Context, path string) error { return c.call(ctx, "pin", path, nil) }

// Unpin doesn't any more.
func (c *Client) Unpin(ctx context.Context, path string) error {
	return c.call(ctx, "unpin", path, nil)
}
