package megaclient

import (
	"context"
	"time"

	"megadisk/megaclient/megacrypto"
)

// solve answers a hashcash puzzle (PROTOCOL 1.7) on all cores, for as long as it takes or ctx lives;
// no limit of the network applies. The first two puzzles of a request are given up after a while, as
// their proof would come too late: "" then, and the request is sent again for another puzzle.
func (c *Client) solve(ctx context.Context, header string, puzzles int) (string, error) {
	challenge, err := megacrypto.ParseHashcash(header)
	if err != nil {
		return "", nil // no puzzle at all: to be tried again like any other failure
	}
	if err := c.puzzle.enter(ctx); err != nil { // one at a time: each takes all cores
		return "", err
	}
	defer c.puzzle.leave()
	limited := ctx
	if puzzles < 2 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, c.timing.hashcash)
		defer cancel()
	}
	begun := time.Now()
	proof, err := challenge.Solve(limited)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	c.log.WithField("took", time.Since(begun).Round(time.Millisecond)).Debug("hashcash puzzle worked on")
	if err != nil {
		return "", nil
	}
	return proof, nil
}
