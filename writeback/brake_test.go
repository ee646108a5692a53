package writeback

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// brakeRig has a folder "top" with files that came to the cloud days ago, and a
// folder "rest" with others.
func brakeRig(t *testing.T, top, rest int, options func(*Options)) *rig {
	clock := megatest.WithClock(func() time.Time { return time.Now().Add(-72 * time.Hour) })
	r := newRig(t, options, clock)
	for name, n := range map[string]int{"top": top, "rest": rest} {
		dir := r.account.Mkdir(r.account.Root(), name)
		for i := range n {
			r.account.PutFile(dir, fmt.Sprint(i), []byte("x"), time.Unix(1, 0))
		}
	}
	r.caughtUp()
	r.eventually(func() bool { return len(r.names("top")) == top && len(r.names("rest")) == rest })
	return r
}

func (r *rig) rmTop(n int) {
	for i := range n {
		r.unlink(fmt.Sprintf("top/%d", i))
	}
	r.rmdir("top")
}

// So many deletions wait, alone, and through a restart, until somebody lets
// them go.
func TestBrakeAndApprove(t *testing.T) {
	r := brakeRig(t, 120, 10, settleNever)
	r.rmTop(120)
	r.write("new", "goes on")
	var braked *BrakedError
	require.ErrorAs(t, r.engine.Flush(r.ctx, 0), &braked)
	require.Equal(t, 121, braked.Deletions)
	require.Equal(t, 121, r.engine.Status().Braked)
	require.Equal(t, "goes on", r.cloud()["new"])
	require.Len(t, r.account.Tree(), 133)
	require.Zero(t, r.sent("m"))

	r.stop()
	r.start()
	require.ErrorAs(t, r.engine.Flush(r.ctx, 0), &braked)
	require.Equal(t, 121, braked.Deletions)
	r.write("another", "goes on")
	require.ErrorAs(t, r.engine.Flush(r.ctx, 0), &braked)
	require.Equal(t, "goes on", r.cloud()["another"])

	n, err := r.engine.Approve(r.ctx)
	require.NoError(t, err)
	require.Equal(t, 121, n)
	r.flush()
	require.Equal(t, 1, r.sent("m"))
	require.Len(t, r.account.Tree(), 13)
	require.Zero(t, r.engine.Status().Braked)
}

// Or until somebody brings the files back.
func TestBrakeAndRevert(t *testing.T) {
	r := brakeRig(t, 120, 10, settleNever)
	r.rmTop(120)
	var braked *BrakedError
	require.ErrorAs(t, r.engine.Flush(r.ctx, 0), &braked)
	n, err := r.engine.Revert(r.ctx)
	require.NoError(t, err)
	require.Equal(t, 121, n)
	require.Len(t, r.names("top"), 120)
	require.Equal(t, "x", r.read("top/7"))
	r.flush()
	require.Zero(t, r.sent("m"))
	require.Len(t, r.account.Tree(), 132)
}

// What is no accident: less than half, less than a hundred, what came lately,
// what is replaced; and the brake can be switched off.
func TestNoBrake(t *testing.T) {
	for name, c := range map[string]struct {
		top, rest int
		options   func(*Options)
	}{
		"less than half":      {105, 106, settleNever},
		"less than a hundred": {99, 0, settleNever},
		"switched off":        {120, 0, func(o *Options) { settleNever(o); o.NoBrake = true }},
	} {
		t.Run(name, func(t *testing.T) {
			r := brakeRig(t, c.top, c.rest, c.options)
			r.rmTop(c.top)
			r.flush()
			require.Len(t, r.account.Tree(), c.rest+1)
		})
	}
	t.Run("came lately", func(t *testing.T) {
		r := newRig(t, settleNever)
		r.mkdir("top")
		for i := range 120 {
			r.write(fmt.Sprintf("top/%d", i), "x")
		}
		r.flush()
		r.rmTop(120)
		r.flush()
		require.Empty(t, r.cloud())
	})
	t.Run("replaced", func(t *testing.T) {
		r := brakeRig(t, 110, 0, settleNever)
		for i := range 110 {
			r.write("tmp", "new")
			r.rename("tmp", fmt.Sprintf("top/%d", i))
		}
		r.flush()
		require.Len(t, r.account.Tree(), 112)
	})
}

// For good, a thousand are too many, however many are left.
func TestBrakeOfPermanentDeletions(t *testing.T) {
	r := brakeRig(t, 1010, 1100, permanent)
	r.rmTop(1010)
	var braked *BrakedError
	require.ErrorAs(t, r.engine.Flush(r.ctx, 0), &braked)
	require.Equal(t, 1011, braked.Deletions)
	require.Zero(t, r.sent("m"))
}
