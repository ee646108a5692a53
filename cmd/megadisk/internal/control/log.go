package control

import (
	"context"
	"net/http"
	"time"
)

// Chronicler tells what happened to files.
type Chronicler interface {
	Log(ctx context.Context, r LogRequest) ([]Happening, error)
}

// LogRequest asks for what happened after a number, or for the last ones.
type LogRequest struct {
	After uint64
	Last  int  // in place of After: so many of the last
	Wait  bool // when there is nothing: until there is something, or for a while
}

// Happening is something that happened to a file or folder: what `megadisk log --json` prints.
type Happening struct {
	Number uint64    `json:"number"` // counts up
	Time   time.Time `json:"time"`
	What   string    `json:"what"`
	Path   string    `json:"path"`           // in the drive
	More   string    `json:"more,omitempty"` // why, from where, or which name it had
}

func logHandlers(mux *http.ServeMux, b Chronicler, describe Describe) {
	mux.HandleFunc("POST /log", endpoint(describe, func(ctx context.Context, r LogRequest) (any, error) { return b.Log(ctx, r) }))
}

// Log tells what happened to files, the oldest first.
func (c *Client) Log(ctx context.Context, r LogRequest) (list []Happening, err error) {
	err = c.call(ctx, "log", r, &list)
	return list, err
}
