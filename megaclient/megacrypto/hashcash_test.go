package megacrypto_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

type hashcashVector struct {
	Challenge string `json:"challenge_header"`
	Easiness  int
	Responses []struct {
		Header string
	} `json:"accepted_responses"`
}

func TestHashcashVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range loadVectors[hashcashVector](t, "hashcash") {
		h, err := mc.ParseHashcash(v.Challenge)
		require.NoError(t, err)
		require.Equal(t, v.Easiness, h.Easiness)
		require.Equal(t, v.Challenge, h.String())
		for _, r := range v.Responses {
			if !seen[r.Header] {
				require.True(t, h.Verify(r.Header), r.Header)
				seen[r.Header] = true
			}
		}
	}
	require.NotEmpty(t, seen)
}

func TestHashcashSolve(t *testing.T) {
	h, err := mc.ParseHashcash(loadVectors[hashcashVector](t, "hashcash")[0].Challenge)
	require.NoError(t, err)
	answer, err := h.Solve(t.Context())
	require.NoError(t, err)
	require.True(t, h.Verify(answer), answer)
}

func TestHashcashVerifyRefuses(t *testing.T) {
	hard := mc.HashcashChallenge{Easiness: 0, Token: strings.Repeat("A", 64)}
	for _, answer := range []string{
		"", "1:x:AAAAAA", "2:" + hard.Token + ":AAAAAA", "1:" + hard.Token + ":AAAA", "1:" + hard.Token + ":AAAAAA:",
		"1:" + hard.Token + ":******", "1:" + hard.Token + ":AAAAAA",
	} {
		require.False(t, hard.Verify(answer), answer)
	}
}

// The hardest challenge would take days; giving up must not.
func TestHashcashSolveIsCancellable(t *testing.T) {
	h := mc.HashcashChallenge{Easiness: 0, Token: strings.Repeat("A", 64)}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		_, err := h.Solve(ctx)
		result <- err
	}()
	<-started
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	_, err := mc.HashcashChallenge{Token: "short"}.Solve(t.Context())
	require.ErrorIs(t, err, mc.ErrHashcash)
}

func FuzzHashcashHeader(f *testing.F) {
	f.Add("1:255:1731410499:RUvIePV2PNO8ofg8xp1aT5ugBcKSEzwKoLBw9o4E6F_fmn44eC3oMpv388UtFl2K")
	for _, bad := range []string{"", "1:1:1", "1:256:1:" + strings.Repeat("A", 64), "2:1:1:" + strings.Repeat("A", 64), "1:-1:1:" + strings.Repeat("A", 64), "1:1:1:AAAA"} {
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, header string) {
		h, err := mc.ParseHashcash(header)
		if err != nil {
			require.ErrorIs(t, err, mc.ErrHashcash)
			require.Zero(t, h)
			return
		}
		require.GreaterOrEqual(t, h.Easiness, 0)
		require.LessOrEqual(t, h.Easiness, 255)
		again, err := mc.ParseHashcash(h.String())
		require.NoError(t, err)
		require.Equal(t, h, again)
	})
}
