package control

import (
	"context"
	"net/http"
)

// Exporter copies what is not yet in the cloud into a plain folder (an absolute path outside of all mounts).
type Exporter interface {
	ExportPending(ctx context.Context, dir string, tell func(Exported)) (Exported, error)
}

// Exported is what `megadisk export-pending --json` prints.
type Exported struct {
	Files      int          `json:"files"`
	Folders    int          `json:"folders"`
	Bytes      int64        `json:"bytes"`
	Incomplete []Unreadable `json:"incomplete"` // files of which parts are missing; paths below the folder
	Others     int          `json:"others"`     // changes without content: moves, removals, attributes
	Salvaged   int          `json:"salvaged"`   // files from segments alone
}

func exportHandlers(mux *http.ServeMux, b Exporter, describe Describe) {
	mux.HandleFunc("POST /export-pending", streamed(describe, b.ExportPending))
}

// ExportPending has the process copy what is pending; tell is told how far that is.
func (c *Client) ExportPending(ctx context.Context, dir string, tell func(Exported)) (Exported, error) {
	return follow[Exported, Exported](ctx, c, "export-pending", dir, tell)
}
