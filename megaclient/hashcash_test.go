package megaclient

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The time that a puzzle takes is none in which the server was out of reach, whether it is solved or comes too late.
func TestPuzzlesAreNoSilence(t *testing.T) {
	for name, limit := range map[string]time.Duration{"solved": time.Minute, "too late": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := newClient(Config{}, Session{})
				require.NoError(t, err)
				defer c.Close()
				c.timing.hashcash = limit
				require.NoError(t, c.puzzle.enter(t.Context()))
				time.AfterFunc(5*time.Minute, c.puzzle.leave) // another request's takes as long
				down := try{err: &StatusError{Status: http.StatusServiceUnavailable}, retry: true}
				puzzle := try{
					err:   &StatusError{Status: http.StatusPaymentRequired},
					retry: true, challenge: "1:255:1700000000:" + strings.Repeat("A", 64),
				}
				tries := []try{down, puzzle, down, {}}
				end := c.persist(t.Context(), persistence{unreachable: time.Minute}, func(context.Context, string) try {
					next := tries[0]
					tries = tries[1:]
					return next
				})
				require.NoError(t, end.err)
				require.Empty(t, tries)
			})
		})
	}
}
