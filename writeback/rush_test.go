package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

func TestARushBeginsAndEnds(t *testing.T) {
	var r rush
	now := time.Unix(1000, 0)
	require.False(t, r.on(now))
	for range rushCount - 1 {
		r.note(now)
	}
	require.False(t, r.on(now), "a few changes are none")
	r.note(now)
	require.True(t, r.on(now))
	require.True(t, r.on(now.Add(rushWindow)), "the window before counts, too")
	require.False(t, r.on(now.Add(2*rushWindow)))
	require.False(t, r.on(now), "nor when the clock was set back")
}

// While programs make many changes uploads stand back, but for those that somebody
// waits for and those that have waited long enough.
func TestUploadsStandBackInARush(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("file", "content")
	r.stop()
	r.open() // the planner's part is the test's
	defer r.stop()
	e, p := r.engine, &r.engine.planner
	in, err := e.Tree().Lookup(tree.DriveIno, "file")
	require.NoError(t, err)
	at := func(now time.Time) (until time.Time) {
		for range rushCount {
			e.rush.note(now)
		}
		require.NoError(t, e.tree.View(func(tx *tree.Tx) error {
			s := newSurvey(p, tx, now)
			p.look(s, inoSet{in.Ino: {}}, now)
			until = p.standBack(s)
			return nil
		}))
		return until
	}
	d, ok := e.queue.get(in.Ino)
	require.True(t, ok)
	since := time.Unix(0, d.entry.Since)
	e.times.Settle, e.times.SettleMax = time.Second, 10*time.Second

	now := since.Add(2 * time.Second)
	require.Equal(t, now.Add(rushWindow), at(now))
	require.Equal(t, 1, p.small.len(), "it is ready")
	e.queue.with(in.Ino, func(d *dirtyInode) { d.asked = 1 })
	require.Zero(t, at(now), "somebody waits")
	e.queue.with(in.Ino, func(d *dirtyInode) { d.asked = 0 })
	require.NotZero(t, at(since.Add(9*time.Second)))
	require.Zero(t, at(since.Add(11*time.Second)), "it has waited long enough")
	require.False(t, e.rush.on(since.Add(12*time.Second)))
}
