package control

import (
	"context"
	"net/http"
	"time"
)

// Linker makes public links.
type Linker interface {
	// Link makes a public link to what lies at a path, and gives it, or takes it back.
	Link(ctx context.Context, r LinkRequest) (string, error)
}

// LinkRequest says what is linked to.
type LinkRequest struct {
	Path    string // absolute, inside a mount
	Remove  bool
	Expires time.Time // zero: never
}

func linkHandlers(mux *http.ServeMux, b Linker, describe Describe) {
	mux.HandleFunc("POST /link", endpoint(describe, func(ctx context.Context, r LinkRequest) (any, error) { return b.Link(ctx, r) }))
}

// Link makes a public link, or takes it back.
func (c *Client) Link(ctx context.Context, r LinkRequest) (link string, err error) {
	err = c.call(ctx, "link", r, &link)
	return link, err
}
