package writeback

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
)

// years is how far off the clock of a machine may be that has forgotten the time.
const years = 10 * 365 * 24 * time.Hour

// What was changed while the clock stood in the future, or long ago, goes up by itself once the clock is right: it was set
// while changes waited, or between two starts.
func TestClockIsSet(t *testing.T) {
	for _, off := range []time.Duration{years, -years} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			wrong := func(o *Options) { o.Now = func() time.Time { return time.Now().Add(off) } }
			r := newRig(t, nil)
			r.write("there", "there")
			r.flush()
			r.stop()
			r.options = wrong
			r.start()
			r.server.Faults().FailBatch("", -3, megatest.Always)
			r.write("new", "new")
			r.unlink("there")
			r.mkdir("dir")
			r.stop()
			r.server.Faults().Clear()
			r.options = nil
			r.start()
			r.eventually(func() bool { return len(r.engine.Status().Pending) == 0 })
			r.requireSame(model{"new": "new", "dir": "/"}, r.cloud(), "the cloud")
		})
	}
}

// A time further ahead than its wait is long is of a clock that was set back since, and isn't waited for.
func TestTimesOfAClockThatWasSetBack(t *testing.T) {
	now := time.Now()
	f := facts{now: now, times: Timings{}.withDefaults()}
	for _, ahead := range []time.Duration{time.Second, f.times.RetryWall} {
		require.True(t, f.isToCome(now.Add(ahead), f.times.RetryWall))
	}
	for _, at := range []time.Time{now, now.Add(-years), now.Add(years), now.Add(f.times.RetryWall + time.Minute)} {
		require.False(t, f.isToCome(at, f.times.RetryWall))
	}
}

// Whatever the server's clock does while changes go up: nothing is lost, and times that programs set stay.
func TestServersClockJumps(t *testing.T) {
	var off atomic.Int64
	r := newRig(t, nil, megatest.WithClock(func() time.Time { return time.Now().Add(time.Duration(off.Load())) }))
	when := time.Unix(1_600_000_000, 0)
	m := model{}
	for i, jump := range []time.Duration{0, years, -2 * years, time.Second, 0} {
		off.Store(int64(jump))
		name := fmt.Sprint(i)
		for _, p := range []string{name, "common"} {
			r.write(p, p+" of "+name)
			m[p] = p + " of " + name
			_, err := r.engine.SetAttr(r.ctx, r.ino(p), Attr{Mtime: &when})
			require.NoError(t, err)
		}
		r.eventually(func() bool { return len(r.engine.Status().Pending) == 0 })
		r.requireSame(m, r.cloud(), fmt.Sprintf("after a jump to %v", jump))
	}
	r.stop()
	r.start()
	r.caughtUp()
	r.requireHere(m, "in the end")
	for name := range m {
		in, err := r.engine.Tree().Get(r.ino(name))
		require.NoError(t, err)
		require.Equal(t, when.UnixNano(), in.Mtime, name)
	}
}

// A clock that is set forward between an answer and the packet of what it is about doesn't make that packet late.
func TestClockIsSetBetweenAnAnswerAndItsPacket(t *testing.T) {
	var off atomic.Int64
	r := newRig(t, func(o *Options) {
		settleNever(o)
		o.Timings.EchoGrace = never
		o.Now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
	})
	r.write("f", "content")
	r.server.Faults().FailPoll(int(megaclient.EAGAIN), megatest.Always)
	off.Store(-int64(years)) // it was wrong, and is set right now
	r.flush()
	expected := func() (n int) {
		require.NoError(t, r.engine.update(r.ctx, func(c *change) error {
			if err := c.expireEchoes(time.Now().Add(-r.engine.times.EchoGrace)); err != nil {
				return err
			}
			for _, ids := range c.e.echoes {
				for id := range ids {
					if c.expects(id) {
						n++
					}
				}
			}
			return nil
		}))
		return n
	}
	require.Positive(t, expected())
	off.Store(0)
	require.Positive(t, expected())
	r.server.Faults().Clear()
	r.caughtUp()
	require.Zero(t, expected(), "the packet has come")
}
