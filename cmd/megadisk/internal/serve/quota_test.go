package serve

import (
	"testing"
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
