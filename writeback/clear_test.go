package writeback

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// smallSteps makes a file of a few regions a very large one.
func smallSteps(t *testing.T) {
	inline, step := clearInline, clearStep
	clearInline, clearStep = 2, 2
	t.Cleanup(func() { clearInline, clearStep = inline, step })
}

// scattered writes a file of 7 regions with so many extents that a generation of it has rows of its own.
func (m *mount) scattered(p string) {
	m.t.Helper()
	f := m.create(p)
	defer f.Release()
	for i := range int64(301) {
		_, err := f.WriteAt(m.ctx, []byte{byte(i + 1)}, i*staging.RegionSize/50)
		require.NoError(m.t, err)
	}
	require.NoError(m.t, f.Flush(m.ctx)) // as a kernel does: a release alone stores what was written some time later
}

// regionRows counts the rows of a kind.
func (m *mount) regionRows(kind byte) (n int) {
	m.t.Helper()
	require.NoError(m.t, m.engine.tree.View(func(tx *tree.Tx) error {
		return scanRows(tx.Badger(), []byte{rowPrefix, kind}, func(_, _ []byte) error {
			n++
			return nil
		})
	}))
	return n
}

func (m *mount) requireNothingStaged() {
	m.t.Helper()
	m.eventually(func() bool { // the sender's own reference to the file may end after a Flush
		return m.regionRows(rowExtents) == 0 && m.regionRows(rowFrozen) == 0 && m.engine.staging.Usage().Live == 0
	})
}

// The rows of a large file go by steps: after its upload, and when it is removed before.
func TestRowsOfALargeFileGoBySteps(t *testing.T) {
	smallSteps(t)
	r := newRig(t, settleNever)
	r.scattered("removed")
	require.Equal(t, 7, r.regionRows(rowExtents))
	r.unlink("removed")
	r.requireNothingStaged()

	r.scattered("sent")
	r.flush()
	r.requireNothingStaged()
	want := r.cloud()["sent"]
	require.Len(t, want, 300*staging.RegionSize/50+1)
	require.Equal(t, byte(1), want[0])

	// Changed and removed again: the rows of the change are left over, and the file comes back without them.
	f := r.edit("sent")
	for i := range int64(7) {
		_, err := f.WriteAt(r.ctx, []byte("change"), i*staging.RegionSize)
		require.NoError(t, err)
	}
	require.NoError(t, f.Flush(r.ctx))
	f.Release()
	r.unlink("sent")
	r.requireNothingStaged()
}

// A crash between the steps: the next start goes on.
func TestRowsLeftByACrashGo(t *testing.T) {
	smallSteps(t)
	r := newRig(t, settleNever)
	r.scattered("pending")
	before := r.engine.staging.Usage().Live
	es, err := r.engine.staging.Append(staging.Owner{Ino: 1 << 40}, 0, []byte("left over"))
	require.NoError(t, err)
	for id := range uint64(5) {
		for _, kind := range []byte{rowExtents, rowFrozen} {
			require.NoError(t, r.engine.update(r.ctx, func(c *change) error { return c.putRegion(kind, 1<<40, id, es) }))
		}
	}
	r.crash()
	r.start()
	require.Equal(t, 7, r.regionRows(rowExtents), "what is pending stays")
	require.Zero(t, r.regionRows(rowFrozen))
	require.Equal(t, before, r.engine.staging.Usage().Live)
	r.flush()
	r.requireNothingStaged()
}

// Parts of a region's extents whose row was never written, since the upload or the commit that they were for was given up, go
// with the next start; those that a row names stay.
func TestPartsThatNoRowNamesGo(t *testing.T) {
	lower(t, &inlineRegion, 40)
	lower(t, &partBytes, 40)
	lower(t, &regionBytes, 1)
	smallSteps(t)
	r := newRig(t, func(o *Options) { settleNever(o); o.Timings.Commit = never })
	f := r.create("f")
	write := func(from int64) {
		for off := from; off < 100_000; off += 5000 {
			_, err := f.WriteAt(r.ctx, []byte("written"), off)
			require.NoError(t, err)
		}
	}
	write(0)
	require.NoError(t, f.Flush(r.ctx))
	want := r.read("f")
	parts := r.regionRows(rowPart)
	require.Greater(t, parts, 3)
	write(2000)
	require.ErrorIs(t, f.Flush(&dying{r.ctx, 2}), context.Canceled)
	f.st.mu.Lock()
	g := &generation{Ino: f.Ino(), m: f.st.m.Clone()}
	f.st.mu.Unlock()
	require.ErrorIs(t, r.engine.storeFrozen(&dying{r.ctx, 2}, g), context.Canceled)
	require.Greater(t, r.regionRows(rowPart), parts+1)
	r.crash()
	r.start()
	require.Equal(t, parts, r.regionRows(rowPart))
	require.Equal(t, want, r.read("f"))
	r.flush()
	require.Equal(t, map[string]string{"f": want}, r.cloud())
	r.requireNothingStaged()
	r.eventually(func() bool { return r.regionRows(rowPart) == 0 })
}
