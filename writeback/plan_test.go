package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

var planNow = time.Unix(1_700_000_000, 0)

func ago(d time.Duration) int64 { return planNow.Add(-d).UnixNano() }

// planFacts is a file that isn't in the cloud and has settled; fn changes it.
func planFacts(fn func(*facts)) facts {
	f := facts{
		now: planNow, times: Timings{}.withDefaults(), trash: true, placed: true, parent: "PARENT00",
		row:   tree.Inode{Kind: tree.File, Name: "f", Pending: tree.PendingCreate},
		entry: entry{Seq: 1, Since: ago(time.Minute), Last: ago(time.Minute)},
	}
	if fn != nil {
		fn(&f)
	}
	return f
}

func inCloud(pending tree.Pending) func(*facts) {
	return func(f *facts) {
		f.row.Pending = pending
		f.row.Cloud = &tree.Cloud{Handle: "OLD00000", Parent: "PARENT00", Name: "f", Attrs: megacrypto.Attributes{}}
		f.row.Base = tree.Base{Handle: "OLD00000"}
	}
}

func removedHere(f *facts) {
	inCloud(tree.PendingRemove)(f)
	f.row.Removed = true
	f.entry.RemovedAs = "OLD00000"
}

func both(fns ...func(*facts)) func(*facts) {
	return func(f *facts) {
		for _, fn := range fns {
			fn(f)
		}
	}
}

func TestPlan(t *testing.T) {
	second := func(n int64) time.Time { return planNow.Add(time.Duration(n) * time.Second) }
	dir := func(f *facts) { f.row.Kind = tree.Dir }
	fresh := func(f *facts) { f.entry.Since, f.entry.Last = ago(0), ago(0) }
	for _, c := range []struct {
		name string
		fn   func(*facts)
		want verdict
	}{
		{"nothing differs", inCloud(0), do(stepSettle)},
		{"removed and never up", func(f *facts) { f.row.Removed = true }, do(stepSettle)},
		{"refused a moment ago", func(f *facts) { f.entry.Retry = second(5).UnixNano() }, waitUntil(second(5))},

		{"new file", nil, do(stepUpload)},
		{"new file, just written", fresh, waitUntil(second(1))},
		{"new file, written for long", both(fresh, func(f *facts) { f.entry.Since = ago(8 * time.Second) }), waitUntil(second(1))},
		{"new file, written for very long", both(fresh, func(f *facts) { f.entry.Since = ago(9500 * time.Millisecond) }), waitUntil(planNow.Add(500 * time.Millisecond))},
		{"new file, flush", both(fresh, func(f *facts) { f.asked = true }), do(stepUpload)},
		{"new file, no folder yet", func(f *facts) { f.parent = "" }, blocked()},
		{"new file, folder removed", func(f *facts) { f.orphan = true }, blocked()},
		{"new file, uploading", func(f *facts) { f.frozen, f.uploading = true, true }, blocked()},
		{"new file, upload was cut", func(f *facts) { f.frozen = true }, do(stepUpload)},
		{"new file, uploaded", func(f *facts) { f.frozen, f.uploaded = true, true }, do(stepFile)},
		{"new file, its place is about to be left", func(f *facts) { f.uploaded, f.leaver = true, true }, blocked()},
		{"new file, damaged", func(f *facts) { f.entry.Held = true }, blocked()},

		{"open for writing", func(f *facts) { f.writers, f.lastWrite = 1, second(-10) }, waitUntil(second(50))},
		{"open for writing, quiet", func(f *facts) { f.writers, f.lastWrite = 1, second(-61) }, do(stepUpload)},
		{"open for writing, frozen before", func(f *facts) {
			f.writers, f.lastWrite, f.lastFroze = 1, second(-61), second(-70)
		}, waitUntil(second(530))},
		{"open for writing, flush", func(f *facts) { f.writers, f.asked = 1, true }, do(stepUpload)},
		{"open and emptied", func(f *facts) { f.writers, f.emptied = 1, second(-100) }, blocked()},
		{"open and emptied, flush at once", func(f *facts) { f.writers, f.emptied, f.asked = 1, planNow, true }, waitUntil(second(1))},

		{"new folder", dir, do(stepFolder)},
		{"new folder in a new folder", both(dir, func(f *facts) { f.parent = "" }), blocked()},

		{"changed", inCloud(tree.PendingContent), do(stepUpload)},
		{"changed here and there", both(inCloud(tree.PendingContent), func(f *facts) { f.row.Cloud.Handle = "NEWER000" }), do(stepConflict)},
		{"renamed", both(inCloud(tree.PendingPlace), func(f *facts) { f.row.Name = "g" }), do(stepAttrs)},
		{"moved", both(inCloud(tree.PendingPlace), func(f *facts) { f.parent = "OTHER000" }), do(stepMove)},
		{"renamed and moved", both(inCloud(tree.PendingPlace), func(f *facts) { f.row.Name, f.parent = "g", "OTHER000" }), do(stepAttrs, stepMove)},
		{"moved to what isn't in place", both(inCloud(tree.PendingPlace), func(f *facts) { f.parent, f.placed = "OTHER000", false }), blocked()},
		{"there and back", inCloud(tree.PendingPlace), do(stepSettle)},
		{"renamed and changed: the place first", both(inCloud(tree.PendingPlace|tree.PendingContent), func(f *facts) { f.row.Name = "g" }), do(stepAttrs)},
		{"mtime without a fingerprint stays here", inCloud(tree.PendingAttrs), do(stepSettle)},
		{"mtime", both(inCloud(tree.PendingAttrs), func(f *facts) {
			f.row.Mtime = ago(0)
			f.row.Cloud.Attrs.SetString("c", megacrypto.Fingerprint{Mtime: 5}.String())
		}), do(stepAttrs)},

		{"removed", removedHere, do(stepTrash)},
		{"removed for good", both(removedHere, func(f *facts) { f.trash = false }), do(stepDelete)},
		{"removed just now", both(removedHere, fresh), waitUntil(second(1))},
		{"removed, others just now", both(removedHere, func(f *facts) {
			f.entry.Since = ago(10 * time.Second)
			f.lastGone = planNow
		}), waitUntil(second(1))},
		{"removed, others for a minute", both(removedHere, func(f *facts) { f.lastGone = planNow }), do(stepTrash)},
		{"removed with its folder", both(removedHere, func(f *facts) { f.covered = true }), blocked()},
		{"removed, something must leave first", both(removedHere, func(f *facts) { f.holding = true }), blocked()},
		{"removed, to be replaced", both(removedHere, func(f *facts) { f.heir = true }), blocked()},
		{"removed, but somebody changed it", both(removedHere, func(f *facts) { f.row.Cloud.Handle = "NEWER000" }), do(stepRevive)},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, plan(planFacts(c.fn))) })
	}
}

func TestEchoKeys(t *testing.T) {
	id := echoID{"HANDLE00", fieldAttrs, "tagOfOurs"}
	back, ok := parseEchoKey(id.key())
	require.True(t, ok)
	require.Equal(t, id, back)
	_, ok = parseEchoKey([]byte("we"))
	require.False(t, ok)
}

func TestRowsOfANewerVersionAreRefused(t *testing.T) {
	raw, err := encodeRow(entry{Seq: 7})
	require.NoError(t, err)
	var ent entry
	require.NoError(t, decodeRow(raw, &ent))
	require.EqualValues(t, 7, ent.Seq)
	raw[0]++
	require.Error(t, decodeRow(raw, &ent))
	require.Error(t, decodeRow(nil, &ent))
}

func FuzzDecodeRow(f *testing.F) {
	for _, v := range []any{entry{Seq: 1, Reason: "x"}, batchRow{Items: []item{{Ino: 5, Key: []byte{1}}}}, generation{Ino: 3}} {
		raw, err := encodeRow(v)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var (
			ent entry
			row batchRow
			gen generation
		)
		_ = decodeRow(raw, &ent)
		_ = decodeRow(raw, &row)
		_ = decodeRow(raw, &gen)
		_, _ = parseEchoKey(raw)
	})
}

// What was ready, and went after the planner had taken its marks, isn't done.
func TestWhatWentMeanwhileIsNotDone(t *testing.T) {
	r := newRig(t, settleNever)
	r.stop()
	r.open() // nobody plans but the test
	defer r.stop()
	r.mkdir("dir")
	r.write("empty", "")
	p := &r.engine.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now().Add(time.Hour)
	look := func(see func(s *survey)) {
		require.NoError(t, r.engine.Tree().View(func(tx *tree.Tx) error { see(newSurvey(p, tx, now)); return nil }))
	}
	marks, _ := r.engine.queue.takeMarks()
	look(func(s *survey) { p.look(s, marks, now) })
	ready := 0
	for _, old := range p.seen {
		ready += len(old.steps)
	}
	require.Equal(t, 2, ready)
	r.rmdir("dir")
	r.unlink("empty")
	look(func(s *survey) {
		for _, list := range []*readyList{&p.orders, &p.small} {
			for _, upload := range []bool{true, false} {
				require.Empty(t, p.take(s, list, 10, upload))
			}
		}
	})
}
