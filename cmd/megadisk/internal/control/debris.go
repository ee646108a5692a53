package control

import (
	"context"
	"net/http"
	"time"
)

// DebrisKeeper is what the process can do with the copies of what was deleted or overwritten elsewhere.
type DebrisKeeper interface {
	// Debris lists them, the oldest first.
	Debris(ctx context.Context) ([]DebrisItem, error)
	// RestoreDebris makes a file of one, and gives its path in the drive.
	RestoreDebris(ctx context.Context, r DebrisRestore) (string, error)
	// ClearDebris removes some, or all if none are named, and tells how many.
	ClearDebris(ctx context.Context, ids []string) (int, error)
}

// DebrisItem is the copy of one file.
type DebrisItem struct {
	ID   string    `json:"id"`
	Path string    `json:"path"` // where it was, in the drive
	Size int64     `json:"size"`
	Kept time.Time `json:"kept"`
	Why  string    `json:"why"` // deleted, replaced
}

// DebrisRestore says what is restored, and where to.
type DebrisRestore struct {
	ID string
	To string // a folder, absolute, inside a mount; "": where it was, else the top of the drive
}

func debrisHandlers(mux *http.ServeMux, b DebrisKeeper, describe Describe) {
	mux.HandleFunc("POST /debris", endpoint(describe, func(ctx context.Context, _ struct{}) (any, error) { return b.Debris(ctx) }))
	mux.HandleFunc("POST /debris/restore", endpoint(describe, func(ctx context.Context, r DebrisRestore) (any, error) { return b.RestoreDebris(ctx, r) }))
	mux.HandleFunc("POST /debris/clear", endpoint(describe, func(ctx context.Context, ids []string) (any, error) { return b.ClearDebris(ctx, ids) }))
}

// Debris lists the copies of what was deleted or overwritten elsewhere.
func (c *Client) Debris(ctx context.Context) (list []DebrisItem, err error) {
	err = c.call(ctx, "debris", struct{}{}, &list)
	return list, err
}

// RestoreDebris makes a file of one.
func (c *Client) RestoreDebris(ctx context.Context, r DebrisRestore) (path string, err error) {
	err = c.call(ctx, "debris/restore", r, &path)
	return path, err
}

// ClearDebris removes some, or all if none are named.
func (c *Client) ClearDebris(ctx context.Context, ids []string) (n int, err error) {
	err = c.call(ctx, "debris/clear", ids, &n)
	return n, err
}
