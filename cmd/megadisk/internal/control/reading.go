package control

import (
	"context"
	"net/http"
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
	Before     int          `json:"before"`   // of these, those that had been found right before, or were sent from here: they weren't read again
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
	// Counting says that none of this is known yet.
	Counting bool `json:"counting,omitempty"`
	// Problem says why not all is here and won't be for now.
	Problem string `json:"problem,omitempty"`
}

// contentHandlers answers what Content can do.
func contentHandlers(mux *http.ServeMux, b Content, describe Describe) {
	mux.HandleFunc("POST /accept", endpoint(describe, func(ctx context.Context, path string) (any, error) { return b.Accept(ctx, path) }))
	mux.HandleFunc("POST /pin", endpoint(describe, func(ctx context.Context, path string) (any, error) { return nil, b.Pin(ctx, path) }))
	mux.HandleFunc("POST /unpin", endpoint(describe, func(ctx context.Context, path string) (any, error) { return nil, b.Unpin(ctx, path) }))
	mux.HandleFunc("POST /verify", streamed(describe, b.Verify))
}

// Verify reads all below path and compares it with its keys; tell is told how far that is.
func (c *Client) Verify(ctx context.Context, path string, tell func(VerifyProgress)) (VerifyReport, error) {
	return follow[VerifyProgress, VerifyReport](ctx, c, "verify", path, tell)
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
