package control

import (
	"context"
	"net/http"
	"time"
)

// History is what the process can do with earlier versions and with the bin.
type History interface {
	// Versions lists the earlier versions of the file at a path (absolute, inside a mount), the oldest first.
	Versions(ctx context.Context, path string) ([]FileVersion, error)
	// RestoreVersion gives a file the content that it had in one of them.
	RestoreVersion(ctx context.Context, r RestoreRequest) (FileVersion, error)
	// Bin lists what lies at the top of the bin.
	Bin(ctx context.Context) ([]BinEntry, error)
	// RestoreFromBin moves something out of the bin, and gives its path in the drive.
	RestoreFromBin(ctx context.Context, r BinRestore) (string, error)
	// EmptyBin removes for good what is in the bin for at least so long, and tells how many entries of its top.
	EmptyBin(ctx context.Context, atLeast time.Duration) (int, error)
}

// FileVersion is an earlier version of a file.
type FileVersion struct {
	Time   string    `json:"time"` // its name: what restore takes, and what it is called under .mega/versions
	Saved  time.Time `json:"saved"`
	Size   int64     `json:"size"`
	Handle string    `json:"handle"`
}

// RestoreRequest names a version by its time.
type RestoreRequest struct {
	Path string // absolute, inside a mount
	Time string
}

// BinEntry is something at the top of the bin.
type BinEntry struct {
	Name   string    `json:"name"`
	Folder bool      `json:"folder"`
	Size   int64     `json:"size"`           // of a file
	Since  time.Time `json:"since"`          // in the bin at least since then, as far as was seen here
	From   string    `json:"from,omitempty"` // folder of the drive that it was in
}

// BinRestore says what comes out of the bin, and where to.
type BinRestore struct {
	Name string
	To   string // a folder, absolute, inside a mount; "": where it was, else the top of the drive
}

func historyHandlers(mux *http.ServeMux, b History, describe Describe) {
	mux.HandleFunc("POST /versions", endpoint(describe, func(ctx context.Context, path string) (any, error) { return b.Versions(ctx, path) }))
	mux.HandleFunc("POST /restore", endpoint(describe, func(ctx context.Context, r RestoreRequest) (any, error) { return b.RestoreVersion(ctx, r) }))
	mux.HandleFunc("POST /bin", endpoint(describe, func(ctx context.Context, _ struct{}) (any, error) { return b.Bin(ctx) }))
	mux.HandleFunc("POST /bin/restore", endpoint(describe, func(ctx context.Context, r BinRestore) (any, error) { return b.RestoreFromBin(ctx, r) }))
	mux.HandleFunc("POST /bin/empty", endpoint(describe, func(ctx context.Context, d time.Duration) (any, error) { return b.EmptyBin(ctx, d) }))
}

// Versions lists the earlier versions of a file, the oldest first.
func (c *Client) Versions(ctx context.Context, path string) (list []FileVersion, err error) {
	err = c.call(ctx, "versions", path, &list)
	return list, err
}

// RestoreVersion gives a file the content that it had in one of them.
func (c *Client) RestoreVersion(ctx context.Context, r RestoreRequest) (v FileVersion, err error) {
	err = c.call(ctx, "restore", r, &v)
	return v, err
}

// Bin lists what lies at the top of the bin.
func (c *Client) Bin(ctx context.Context) (list []BinEntry, err error) {
	err = c.call(ctx, "bin", struct{}{}, &list)
	return list, err
}

// RestoreFromBin moves something out of the bin.
func (c *Client) RestoreFromBin(ctx context.Context, r BinRestore) (path string, err error) {
	err = c.call(ctx, "bin/restore", r, &path)
	return path, err
}

// EmptyBin removes for good what is in the bin for at least so long.
func (c *Client) EmptyBin(ctx context.Context, atLeast time.Duration) (n int, err error) {
	err = c.call(ctx, "bin/empty", atLeast, &n)
	return n, err
}
