package cache

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// flow lets bytes come at a rate for a while, in pieces of 20 ms.
func flow(l *link, now time.Time, rate float64, d time.Duration) time.Time {
	const step = 20 * time.Millisecond
	for end := now.Add(d); now.Before(end); now = now.Add(step) {
		l.moved(int64(rate*step.Seconds()), now)
	}
	return now
}

func TestLinkWidensWindowsByBandwidthTimesLatency(t *testing.T) {
	var l link
	require.EqualValues(t, linkFloor, l.window(), "nothing is known")
	l.first(50 * time.Millisecond)
	now := flow(&l, time.Unix(1000, 0), 100e6, 2*time.Second)
	require.InEpsilon(t, linkFloor+linkMargin*100e6*0.05, float64(l.window()), 0.25)

	// Waiting for a connection makes some answers late; that is no longer way.
	for range 10 {
		l.first(time.Second)
		l.first(50 * time.Millisecond)
	}
	require.InEpsilon(t, linkFloor+linkMargin*100e6*0.05, float64(l.window()), 0.25)

	// A pause says nothing about the link.
	now = flow(&l, now.Add(time.Hour), 100e6, 100*time.Millisecond)
	require.InEpsilon(t, 100e6, l.rate, 0.25)
	flow(&l, now, 1e6, 30*time.Second)
	require.Less(t, l.rate, 2e6, "a link that has become slow")

	var near link
	near.first(100 * time.Microsecond)
	flow(&near, now, 1e9, time.Second)
	require.Less(t, near.window(), int64(linkFloor+1<<20), "on a short way a wide window is of no use")
}
