package serve

import (
	"context"
	"encoding/json"
)

// statusText is what .mega/status.json says: what `megadisk status --json` prints of this process.
func (p *Process) statusText(ctx context.Context) ([]byte, error) {
	st, err := p.Status(ctx)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(st, "", "  ")
	return append(text, '\n'), err
}
