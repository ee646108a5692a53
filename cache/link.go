package cache

import "time"

// link is what was measured of the way to the cloud, as a pure value: pieces and times in, the width of
// a window out that keeps such a link full.
type link struct {
	latency time.Duration // from asking to the first byte: the shortest of late
	rate    float64       // bytes a second, all fetches together: the best of late
	bytes   int64         // moved since
	since   time.Time
}

const (
	linkFloor  = 8 << 20 // a window that needs no measurement
	linkSpan   = 200 * time.Millisecond
	linkIdle   = 2 * time.Second // a pause that long is none of the link's
	linkMargin = 4               // windows are so many times bandwidth × latency beyond the floor
)

// first takes how long the first byte of a fetch was under way. Waiting for a connection is part of what
// is measured, so the shortest counts, and only slowly a longer one.
func (l *link) first(d time.Duration) {
	if l.latency == 0 || d < l.latency {
		l.latency = d
		return
	}
	l.latency += (d - l.latency) / 64
}

// moved takes bytes that came.
func (l *link) moved(n int64, now time.Time) {
	span := now.Sub(l.since)
	if span > linkIdle {
		l.bytes, l.since = n, now
		return
	}
	l.bytes += n
	if span >= linkSpan {
		l.rate = max(float64(l.bytes)/span.Seconds(), l.rate*0.95)
		l.bytes, l.since = 0, now
	}
}

// window is how far it is worth looking ahead.
func (l *link) window() int64 {
	return linkFloor + int64(linkMargin*l.rate*l.latency.Seconds())
}
