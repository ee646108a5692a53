package megaclient

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// OpenSession is one of the account's sessions: a program or browser that is logged in.
type OpenSession struct {
	ID      string // names it to EndSession
	Started time.Time
	Used    time.Time // for the last time
	Program string    // as it calls itself
	Address string    // where it comes from
	Country string    // two letters
	Current bool      // it is the client's own
}

// Sessions lists the sessions of the account that are alive (command usl; each is an array of start, last use, program,
// address, country, current, id, alive).
func (c *Client) Sessions(ctx context.Context) ([]OpenSession, error) {
	var got [][]json.RawMessage
	if err := c.command(ctx, laneRead, map[string]any{"a": "usl", "x": 1}, &got); err != nil {
		return nil, fmt.Errorf("listing the sessions: %w", err)
	}
	var list []OpenSession
	for _, w := range got {
		if len(w) < 8 || string(w[7]) == "0" {
			continue
		}
		var started, used int64
		var s OpenSession
		for i, into := range []any{&started, &used, &s.Program, &s.Address, &s.Country} {
			_ = json.Unmarshal(w[i], into) // what is missing stays empty
		}
		s.Current = string(w[5]) == "1"
		if json.Unmarshal(w[6], &s.ID) != nil || s.ID == "" {
			continue
		}
		s.Started, s.Used = time.Unix(clampUnix(started), 0), time.Unix(clampUnix(used), 0)
		list = append(list, s)
	}
	return list, nil
}

// EndSession ends one of the account's sessions. One that isn't there is no error.
func (c *Client) EndSession(ctx context.Context, id string) error {
	if err := c.command(ctx, laneRead, map[string]any{"a": "usr", "s": []string{id}}, nil); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}
