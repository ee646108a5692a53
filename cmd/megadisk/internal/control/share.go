package control

import (
	"context"
	"net/http"

	"megadisk/megaclient/megacrypto"
)

// Sharer says who gets at folders, and changes it.
type Sharer interface {
	// Shares tells who has access to the folder at a path.
	Shares(ctx context.Context, path string) ([]Access, error)
	// Share lets somebody into a folder, or gives other rights.
	Share(ctx context.Context, r ShareRequest) (Shared, error)
	// Unshare takes somebody's access back.
	Unshare(ctx context.Context, r ShareRequest) error
}

// Access is what one user may do in a folder.
type Access struct {
	Email string `json:"email"` // the user's handle, if the address isn't known
	Level string `json:"access"`
}

// ShareRequest says who is let into what.
type ShareRequest struct {
	Path  string // absolute, inside a mount
	Email string
	Level string
	// Credentials are those that the person was told by the user; nil: none.
	Credentials *megacrypto.Credentials
}

// Shared says whom a folder's key was given to.
type Shared struct {
	Access
	Fingerprint string `json:"fingerprint"`
	Compared    bool   `json:"compared"` // a person has compared it
}

func shareHandlers(mux *http.ServeMux, b Sharer, describe Describe) {
	mux.HandleFunc("POST /shares", endpoint(describe, func(ctx context.Context, path string) (any, error) { return b.Shares(ctx, path) }))
	mux.HandleFunc("POST /share", endpoint(describe, func(ctx context.Context, r ShareRequest) (any, error) { return b.Share(ctx, r) }))
	mux.HandleFunc("POST /unshare", endpoint(describe, func(ctx context.Context, r ShareRequest) (any, error) { return nil, b.Unshare(ctx, r) }))
}

// Shares tells who has access to a folder.
func (c *Client) Shares(ctx context.Context, path string) (list []Access, err error) {
	err = c.call(ctx, "shares", path, &list)
	return list, err
}

// Share lets somebody into a folder.
func (c *Client) Share(ctx context.Context, r ShareRequest) (done Shared, err error) {
	err = c.call(ctx, "share", r, &done)
	return done, err
}

// Unshare takes somebody's access back.
func (c *Client) Unshare(ctx context.Context, r ShareRequest) error {
	return c.call(ctx, "unshare", r, nil)
}
