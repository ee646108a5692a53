package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A change whose row can't be read waits, and status and flush say so. The others go on, but nothing is removed: what
// can't be read may need it.
func TestAChangeThatCantBeReadHoldsUpNoOther(t *testing.T) {
	r := newRig(t, settleNever)
	r.account.PutFile(r.account.Root(), "gone", []byte("G"), time.Time{})
	r.caughtUp()
	r.write("bad", "B")
	bad := r.ino("bad")
	r.scribbled(bad, func() {
		r.write("good", "G")
		r.unlink("gone")
		err := r.engine.Flush(r.ctx, 0)
		require.ErrorIs(t, err, errUnread)
		require.ErrorIs(t, err, errNotRemoved)
		require.Equal(t, map[string]string{"good": "G", "gone": "G"}, r.cloud())
		s := r.engine.Status()
		require.Len(t, s.Walls, 1)
		require.Contains(t, s.Walls[0], errUnread.Error())
		require.Len(t, s.Pending, 2)
		require.Equal(t, bad, s.Pending[0].Ino)
		require.Equal(t, errUnread.Error(), s.Pending[0].Reason)
		require.Equal(t, errNotRemoved.Error(), s.Pending[1].Reason)
	})
	r.eventually(func() bool { return len(r.engine.Status().Walls) == 0 })
	r.flush()
	require.Equal(t, map[string]string{"bad": "B", "good": "G"}, r.cloud())
}

// Where it can't be counted what is left, many deletions wait for somebody's word.
func TestBrakeWhereNobodyCanCount(t *testing.T) {
	r := brakeRig(t, 120, 130, settleNever)
	r.scribbled(r.ino("rest/7"), func() {
		r.rmTop(120)
		r.write("new", "goes on")
		var braked *BrakedError
		require.ErrorAs(t, r.engine.Flush(r.ctx, 0), &braked)
		require.Equal(t, 121, braked.Deletions)
		require.Equal(t, "goes on", r.cloud()["new"])
	})
}
