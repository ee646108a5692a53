package writeback

import (
	"slices"
	"strings"
	"testing"
	"time"

	logtest "github.com/sirupsen/logrus/hooks/test"
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

// News about something whose row can't be read is tried again and again; status says so, and the log once.
func TestNewsThatCantBeTakenIn(t *testing.T) {
	log, hook := logtest.NewNullLogger()
	r := newRig(t, func(o *Options) { o.Log = log })
	r.account.PutFile(r.account.Root(), "f", []byte("one"), time.Time{})
	r.caughtUp()
	f := r.account.Find("f")
	row, whole := []byte("h"+string(f)), []byte(nil)
	r.setRow(row, func(raw []byte) []byte { whole = raw; return []byte("scribble") })
	r.account.Trash(f)
	r.eventually(func() bool { return slices.Contains(r.engine.Status().Walls, errNotShown.Error()) })
	require.Equal(t, []string{"f"}, r.names("/"))
	r.setRow(row, func([]byte) []byte { return whole })
	r.caughtUp()
	require.Empty(t, r.names("/"))
	r.eventually(func() bool { return len(r.engine.Status().Walls) == 0 })
	told := 0
	for _, entry := range hook.AllEntries() {
		if strings.Contains(entry.Message, "can't be taken in") {
			told++
		}
	}
	require.Equal(t, 1, told)
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
