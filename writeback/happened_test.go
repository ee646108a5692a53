package writeback

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// happenings lists what happened, as "what path more".
func (r *rig) happenings() (list []string) {
	r.t.Helper()
	all, err := r.engine.Happenings(0, maxHappenings)
	require.NoError(r.t, err)
	last := uint64(0)
	for _, h := range all {
		require.Greater(r.t, h.Seq, last)
		last = h.Seq
		require.WithinDuration(r.t, time.Now(), time.Unix(0, h.Time), time.Hour)
		list = append(list, conflictSuffix.ReplaceAllString(strings.TrimSpace(h.What+" "+h.Path+" "+h.More), " (!)"))
	}
	return list
}

// TestWhatHappensIsWrittenDown: what goes to the cloud and what comes between, also after a restart.
func TestWhatHappensIsWrittenDown(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("d")
	r.write("d/a", "one")
	r.flush()
	r.write("d/a", "two")
	r.flush()
	r.rename("d/a", "d/b")
	r.flush()
	r.caughtUp()
	r.unlink("d/b")
	r.flush()
	r.eventually(func() bool { _, err := r.engine.RestoreFromBin(r.ctx, "b", tree.DriveIno); return err == nil })
	r.flush()
	want := []string{"made /d", "uploaded /d/a", "uploaded /d/a", "moved /d/b", "removed /d/b to the bin", "restored /b from the bin", "moved /b"}
	require.Equal(t, want, r.happenings())

	last := r.engine.LastHappening()
	r.stop()
	r.start()
	require.Equal(t, last, r.engine.LastHappening())
	require.Equal(t, want, r.happenings())
	later, err := r.engine.Happenings(last-1, 10)
	require.NoError(t, err)
	require.Len(t, later, 1)
	require.NoError(t, r.engine.AwaitHappening(r.ctx, last-1, time.Hour))
	require.NoError(t, r.engine.AwaitHappening(r.ctx, last, time.Nanosecond), "nothing came")
	go r.engine.note(r.ctx, Happening{What: Restored, Path: "/c"})
	require.NoError(t, r.engine.AwaitHappening(r.ctx, last, time.Hour))
	require.Greater(t, r.engine.LastHappening(), last)
}

// TestConflictsAreWrittenDown: of content, of two new files of one name, and what others did to files that are here.
func TestConflictsAreWrittenDown(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a", "base")
	r.write("gone", "base")
	r.flush()
	r.caughtUp()
	r.server.Faults().FailPoll(-3, megatest.Always)
	r.account.PutVersion(r.account.Find("a"), []byte("theirs"), time.Now())
	r.account.PutFile(r.account.Root(), "new", []byte("theirs too"), time.Now())
	r.account.Trash(r.account.Find("gone"))
	r.write("a", "ours here")
	r.write("new", "ours")
	r.server.Faults().Clear()
	r.caughtUp()
	r.flush()
	r.eventually(func() bool { return len(r.happenings()) >= 7 })
	list := r.happenings()
	require.Equal(t, []string{"uploaded /a", "uploaded /gone"}, slices.Sorted(slices.Values(list[:2])))
	require.Equal(t, []string{"conflict /a (!) a", "conflict /new (!) new", "deleted elsewhere /gone", "uploaded /a (!)", "uploaded /new (!)"}, slices.Sorted(slices.Values(list[2:])))
}

func TestRefusalsAreWrittenDown(t *testing.T) {
	r := newRig(t, settleNever)
	r.account.SetQuota(1)
	r.write("a", "too much")
	require.Error(t, r.engine.Flush(r.ctx, 0))
	require.Error(t, r.engine.Flush(r.ctx, 0))
	list := r.happenings()
	require.Len(t, list, 1, "%v", list)
	require.Contains(t, list[0], "refused /a ")
}

// TestHappeningsAreBounded: the last ones are kept.
func TestHappeningsAreBounded(t *testing.T) {
	r := newRig(t, nil)
	const more = 100
	for done := 0; done < maxHappenings+more; done += more {
		require.NoError(t, r.engine.update(r.ctx, func(c *change) error {
			for range more {
				if err := c.tell(Uploaded, "/a", ""); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	require.EqualValues(t, maxHappenings+more, r.engine.LastHappening())
	all, err := r.engine.Happenings(0, 2*maxHappenings)
	require.NoError(t, err)
	require.Len(t, all, maxHappenings)
	require.EqualValues(t, more+1, all[0].Seq)
}
