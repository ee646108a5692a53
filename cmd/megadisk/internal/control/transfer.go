package control

import (
	"context"
	"net/http"
	"time"
)

// Carrier copies between the drive and the local disk, and tells what is in the drive, without touching a mount.
type Carrier interface {
	// Get copies what lies at a path in a mount to the local disk.
	Get(ctx context.Context, r Carry, tell func(Carried)) (Carried, error)
	// Put copies something of the local disk to a path in a mount; it is staged then.
	Put(ctx context.Context, r Carry, tell func(Carried)) (Carried, error)
	// Import copies what a public link opens to a path in a mount.
	Import(ctx context.Context, r Carry, tell func(Carried)) (Carried, error)
	// Find tells, page by page, what lies at or below a path.
	Find(ctx context.Context, r FindRequest) (FindPage, error)
	// Folders names the folders in a folder of the drive, "" or /Remote/Folder.
	Folders(ctx context.Context, source string) ([]string, error)
	// Free lets go of what is here of all at or below a path; "" for everything. It gives the bytes.
	Free(ctx context.Context, path string) (int64, error)
}

// Carry says what is copied and where to; both are absolute.
type Carry struct{ From, To string }

// Carried is what was copied (so far).
type Carried struct {
	Path     string `json:"path"` // where it is now
	Files    int    `json:"files"`
	Folders  int    `json:"folders"`
	Bytes    int64  `json:"bytes"`
	AllBytes int64  `json:"-"` // of the whole, as far as known
}

// FindRequest asks for what lies below a path, from a place on.
type FindRequest struct {
	Path  string
	After []byte // Next of the page before
}

// FindPage is part of the answer.
type FindPage struct {
	Entries []Found
	Next    []byte // to go on with; nil: that is all. No text, which JSON would make another one of where it isn't UTF-8
}

// Found is a file or folder: what `megadisk find --json` prints.
type Found struct {
	Path   string    `json:"path"` // relative to what was asked for; "." for that itself
	Folder bool      `json:"folder"`
	Size   int64     `json:"size"`
	Here   int64     `json:"here"` // bytes that can be read without the network
	Mtime  time.Time `json:"mtime"`
}

func carrierHandlers(mux *http.ServeMux, b Carrier, describe Describe) {
	mux.HandleFunc("POST /get", streamed(describe, b.Get))
	mux.HandleFunc("POST /put", streamed(describe, b.Put))
	mux.HandleFunc("POST /import", streamed(describe, b.Import))
	mux.HandleFunc("POST /find", endpoint(describe, func(ctx context.Context, r FindRequest) (any, error) { return b.Find(ctx, r) }))
	mux.HandleFunc("POST /folders", endpoint(describe, func(ctx context.Context, source string) (any, error) { return b.Folders(ctx, source) }))
	mux.HandleFunc("POST /free", endpoint(describe, func(ctx context.Context, path string) (any, error) { return b.Free(ctx, path) }))
}

// Get copies out of a mount; tell is told how far that is.
func (c *Client) Get(ctx context.Context, r Carry, tell func(Carried)) (Carried, error) {
	return follow[Carried, Carried](ctx, c, "get", r, tell)
}

// Put copies into a mount.
func (c *Client) Put(ctx context.Context, r Carry, tell func(Carried)) (Carried, error) {
	return follow[Carried, Carried](ctx, c, "put", r, tell)
}

// Import copies what a link opens into a mount.
func (c *Client) Import(ctx context.Context, r Carry, tell func(Carried)) (Carried, error) {
	return follow[Carried, Carried](ctx, c, "import", r, tell)
}

// Find tells part of what lies at or below a path.
func (c *Client) Find(ctx context.Context, r FindRequest) (page FindPage, err error) {
	err = c.call(ctx, "find", r, &page)
	return page, err
}

// Folders names the folders in a folder of the drive.
func (c *Client) Folders(ctx context.Context, source string) (names []string, err error) {
	err = c.call(ctx, "folders", source, &names)
	return names, err
}

// Free lets go of what is here of a path; "" for everything.
func (c *Client) Free(ctx context.Context, path string) (bytes int64, err error) {
	err = c.call(ctx, "free", path, &bytes)
	return bytes, err
}
