package writeback

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const stagingLimit = 1 << 20

func limited(o *Options) {
	o.StagingSize = stagingLimit
	o.Timeout = never
}

// A write waits for room while another, closed file is on its way up, and goes on when that has arrived.
func TestWriteWaitsForOthersToGoUp(t *testing.T) {
	r := newRig(t, limited)
	release := r.server.Faults().Hold("p")
	r.write("first", strings.Repeat("1", stagingLimit*3/4))
	wrote := make(chan error, 1)
	go func() { wrote <- r.tryWrite("second", strings.Repeat("2", stagingLimit*3/4)) }()
	r.eventually(func() bool { return r.engine.waiting.Load() == 1 })
	require.Empty(t, wrote)
	release()
	require.NoError(t, <-wrote)
	r.flush()
	require.Len(t, r.cloud()["second"], stagingLimit*3/4)
}

// Who waits can be interrupted.
func TestWaitForRoomIsInterruptible(t *testing.T) {
	r := newRig(t, limited)
	defer r.server.Faults().Hold("p")()
	r.write("first", strings.Repeat("1", stagingLimit*3/4))
	f := r.create("second")
	defer f.Release()
	ctx, interrupt := context.WithCancel(r.ctx)
	wrote := make(chan error, 1)
	go func() {
		_, err := f.WriteAt(ctx, make([]byte, stagingLimit/2), 0)
		wrote <- err
	}()
	r.eventually(func() bool { return r.engine.waiting.Load() == 1 })
	interrupt()
	require.ErrorIs(t, <-wrote, context.Canceled)
}

// Where nothing else leaves the staging, waiting would help nobody.
func TestNoRoomAndNothingToWaitFor(t *testing.T) {
	r := newRig(t, func(o *Options) {
		limited(o)
		settleNever(o)
	})
	alone := r.create("alone")
	_, err := alone.WriteAt(r.ctx, make([]byte, stagingLimit), 0)
	require.NoError(t, err)
	_, err = alone.WriteAt(r.ctx, []byte("x"), stagingLimit)
	require.ErrorIs(t, err, ErrNoSpace, "its own bytes can't make room for it")
	open := r.create("open")
	_, err = open.WriteAt(r.ctx, []byte("x"), 0)
	require.ErrorIs(t, err, ErrNoSpace, "a file that is open for writing doesn't go up soon")
	open.Release()
	alone.Release()
	r.flush()
	require.Len(t, r.cloud()["alone"], stagingLimit, "what was written before is intact")

	r.write("pending", strings.Repeat("3", stagingLimit))
	r.server.Close()
	r.eventually(func() bool { return !r.engine.Status().Offline.IsZero() })
	require.ErrorIs(t, r.tryWrite("offline", "x"), ErrNoSpace, "nothing goes up without a network")
}

// The wait has an end.
func TestWaitForRoomEnds(t *testing.T) {
	r := newRig(t, func(o *Options) {
		limited(o)
		o.Timeout = 1
	})
	defer r.server.Faults().Hold("p")()
	r.write("first", strings.Repeat("1", stagingLimit))
	require.ErrorIs(t, r.tryWrite("second", "2"), ErrNoSpace)
}
