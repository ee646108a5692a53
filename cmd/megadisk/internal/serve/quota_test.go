package serve

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
)

func TestTransferQuotaIsAskedForNowAndThen(t *testing.T) {
	q := &transferQuota{wake: make(chan struct{}, 1), moved: -1}
	asked := func() bool {
		select {
		case <-q.wake:
			return true
		default:
			return false
		}
	}
	q.downloaded(1)
	require.True(t, asked(), "at the first byte")
	for range 255 {
		q.downloaded(1 << 20)
	}
	require.False(t, asked())
	q.downloaded(1 << 20)
	require.True(t, asked())
}

// Without quota, the server is asked once in a while, and believed.
func TestNoTransferQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paused := time.Time{}
		q := &transferQuota{pause: func(until time.Time) { paused = until }}
		require.NoError(t, q.enter())
		require.NoError(t, q.enter())
		q.result(fmt.Errorf("reading: %w", &megaclient.OverQuotaError{Left: time.Hour}))
		require.Equal(t, time.Now().Add(time.Hour), paused)
		var over *megaclient.OverQuotaError
		require.ErrorAs(t, q.enter(), &over)
		require.Equal(t, time.Hour, over.Left)
		q.result(context.Canceled)
		require.Error(t, q.enter())
		time.Sleep(quotaRetry)
		require.NoError(t, q.enter(), "one tries")
		require.Error(t, q.enter())
		q.result(nil)
		require.NoError(t, q.enter(), "there is some again")
		until, _ := q.state()
		require.Zero(t, until)
	})
}

// Quota that comes back soon is waited for, any other isn't.
func TestTransferQuotaThatComesBackSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &transferQuota{patience: time.Minute}
		none := func(left time.Duration) error {
			return fmt.Errorf("reading: %w", &megaclient.OverQuotaError{Left: left})
		}
		begun := time.Now()
		for _, err := range []error{nil, context.Canceled, none(time.Hour), none(time.Minute)} {
			require.False(t, q.await(t.Context(), err))
		}
		require.Zero(t, time.Since(begun))
		require.True(t, q.await(t.Context(), none(10*time.Second)))
		require.Equal(t, 10*time.Second, time.Since(begun))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.False(t, q.await(ctx, none(10*time.Second)))
		require.Equal(t, 10*time.Second, time.Since(begun))
	})
}

func TestLittleTransferQuota(t *testing.T) {
	var paused []time.Time
	q := &transferQuota{pause: func(until time.Time) { paused = append(paused, until) }}
	for _, enough := range []megaclient.Quota{{}, {TransferTotal: 1000}, {TransferTotal: 1000, TransferUsed: 950}} {
		q.look(enough)
		_, left := q.state()
		require.Zero(t, left)
		require.Empty(t, paused)
	}
	for used, want := range map[int64]int64{951: 49, 1000: 1, 2000: 1} {
		q.look(megaclient.Quota{TransferTotal: 1000, TransferUsed: used})
		_, left := q.state()
		require.Equal(t, want, left)
	}
	require.Len(t, paused, 3)
	require.Greater(t, time.Until(paused[0]), quotaPause/2)
	q.look(megaclient.Quota{TransferTotal: 1000})
	_, left := q.state()
	require.Zero(t, left)
}
