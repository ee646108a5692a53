package megaclient_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
)

func TestThrottleSlowsAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := megaclient.NewThrottle(100, 10)
		for range 3 {
			b.Trouble()
		}
		require.InDelta(t, 12.5, b.Limit(), 0.01)
		b.Quiet(10)
		require.InDelta(t, 12.5, b.Limit(), 0.01, "not at once")
		for want := 12.5; want < 100; {
			time.Sleep(11 * time.Second)
			b.Quiet(10)
			want = min(want*1.5, 100)
			require.InDelta(t, want, b.Limit(), 0.01)
		}
		for range 100 {
			b.Trouble()
		}
		require.InDelta(t, 0.5, b.Limit(), 0.01, "never stops")
	})
}

func TestThrottleTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := megaclient.NewThrottle(10, 5)
		begun := time.Now()
		for range 25 {
			require.NoError(t, b.Take(t.Context()))
		}
		require.InDelta(t, 2.0, time.Since(begun).Seconds(), 0.01)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, b.Take(ctx), context.DeadlineExceeded)
	})
}
