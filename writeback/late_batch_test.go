package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// A request may lie in a server that stands still, which says when it goes on that it has nothing to do, and does what
// the request asks for afterwards. Each command is executed once nevertheless.
func TestBatchesExecutedAfterTheServerSaidItIsFree(t *testing.T) {
	for name, row := range map[string]struct {
		command string
		change  func(r *rig)
		again   string // what is saved after the start, before the batch is executed
	}{
		"new file":   {"p", func(r *rig) { r.write("new", "N") }, ""},
		"new folder": {"p", func(r *rig) { r.mkdir("new") }, ""},
		"version":    {"p", func(r *rig) { r.write("over", "new") }, "newer"},
		"move":       {"m", func(r *rig) { r.rename("moved", "d/renamed") }, ""},
		"removal":    {"m", func(r *rig) { r.unlink("gone") }, ""},
		"attributes": {"a", func(r *rig) { r.setXattr("over", "colour", "red") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(o *Options) { settleNever(o); o.Timings.LateGrace = never })
			for _, p := range []string{"over", "gone", "moved"} {
				r.account.PutFile(r.account.Root(), p, []byte("old "+p), time.Time{})
			}
			r.account.Mkdir(r.account.Root(), "d")
			r.caughtUp()
			row.change(r)
			execute := r.server.Faults().PutAside(row.command)
			go func() { _ = r.engine.Flush(r.ctx, 0) }()
			require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
			r.crash()

			probes := r.server.Stats().Probes
			r.start()
			commands := 1
			if row.again != "" {
				r.write("over", row.again)
				commands++
			}
			require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Probes >= probes+2 }))
			execute()
			r.flush()
			r.caughtUp()
			require.Equal(t, commands, r.sent(row.command))
			want, err := r.view()
			require.NoError(t, err)
			require.Equal(t, want, r.cloud())
			require.Len(t, want, r.countNodes())
		})
	}
}

// Whether a removal was executed isn't said while the bin's row can't be read: it would be sent again, maybe after somebody
// has taken the file out of the bin.
func TestFateIsNotGuessedWhileTheBinCantBeRead(t *testing.T) {
	r := newRig(t, func(o *Options) { settleNever(o); o.Timings.LateGrace = never })
	r.account.PutFile(r.account.Root(), "gone", []byte("x"), time.Time{})
	r.caughtUp()
	r.unlink("gone")
	execute := r.server.Faults().PutAside("m")
	go func() { _ = r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.crash()
	r.start()
	r.scribbled(tree.BinIno, func() {
		_, err := r.engine.findFate(r.ctx, true)
		require.ErrorIs(t, err, tree.ErrCorrupt)
	})
	execute()
	r.flush()
	require.Equal(t, 1, r.sent("m"))
}
