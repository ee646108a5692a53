package writeback

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// TestALostDatabaseLeavesWhatWasStaged: staged bytes whose database is gone
// are moved aside, said in Status, and can be saved.
func TestALostDatabaseLeavesWhatWasStaged(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("thesis", "two years of work")
	r.stop()
	require.NoError(t, os.RemoveAll(filepath.Join(r.dir, "tree")))

	for range 2 { // also at the start after
		r.start()
		require.NoError(t, r.engine.Ready(r.ctx))
		list := r.engine.Status().Orphaned
		require.Len(t, list, 1)
		saved := map[string]string{}
		key, err := OpenStateKey(r.dir, r.session.MasterKey)
		require.NoError(t, err)
		err = staging.Salvage(list[0].Dir, subkey(key, labelStaging), func(o staging.Owner, off int64, data []byte) error {
			saved[filepath.Base(o.Path)] += string(data)
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, map[string]string{"thesis": "two years of work"}, saved)
		require.Zero(t, r.engine.Status().Staged.Live)
		r.write("new", "goes on")
		r.flush()
		r.stop()
	}
}

// lower sets a limit for the time of a test.
func lower(t *testing.T, limit *int, to int) {
	was := *limit
	*limit = to
	t.Cleanup(func() { *limit = was })
}

// TestScatteredBytes writes single bytes all over a file, so that its lists of
// extents are longer than a row or a transaction may be, and kills it.
func TestScatteredBytes(t *testing.T) {
	lower(t, &inlineRegion, 8<<10)
	lower(t, &partBytes, 8<<10)
	r := newRig(t, func(o *Options) { settleNever(o); o.Timings.Commit = never })
	const size = 3 << 20
	want := bytes.Repeat([]byte{0}, size)
	f := r.create("scattered")
	put := func(p []byte, off int64) {
		_, err := f.WriteAt(r.ctx, p, off)
		require.NoError(t, err)
		copy(want[off:], p)
	}
	put([]byte{1}, size-1)
	for off := int64(0); off < 8<<10; off += 2 { // no two touch, so nothing can be joined
		put([]byte{byte(off >> 3)}, off)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		put([]byte{byte(rng.Uint32())}, rng.Int64N(size))
	}
	require.NoError(t, f.Flush(r.ctx))
	parts := r.regionRows(rowPart)
	require.Positive(t, parts, "the list was meant to be too long for one row")
	require.NoError(t, r.engine.tree.View(func(tx *tree.Tx) error {
		return scanRows(tx.Badger(), []byte{rowPrefix}, func(key, raw []byte) error {
			require.LessOrEqual(t, len(raw), partBytes)
			return nil
		})
	}))
	put([]byte{7}, 5)
	require.NoError(t, f.Flush(r.ctx)) // the new parts replace the old ones
	require.Equal(t, parts, r.regionRows(rowPart))
	r.crash()
	r.start()
	in, err := r.engine.Tree().Get(r.ino("scattered"))
	require.NoError(t, err)
	require.EqualValues(t, size, in.Size)
	requireSame(t, want, r.read("scattered"))
	r.flush()
	requireSame(t, want, r.cloud()["scattered"])
	r.requireNothingStaged()
	r.eventually(func() bool { return r.regionRows(rowPart) == 0 })
}

// TestLongListsOfExtents: the rows of one commit may be more than one
// transaction takes.
func TestLongListsOfExtents(t *testing.T) {
	r := newRig(t, settleNever)
	f := r.create("f")
	m := f.st.m
	es, err := r.engine.staging.Append(f.st.owner, 0, []byte{1})
	require.NoError(t, err)
	f.st.mu.Lock()
	n := 0
	for region := range int64(120) { // 120 regions with 4,000 extents of a byte each
		for i := range int64(4000) {
			x := es[0]
			x.Off = region<<22 + 2*i
			r.engine.staging.Retain(x)
			m.Insert(x)
			n++
		}
	}
	f.st.size, f.st.dirty, f.st.content = 120<<22, true, true
	f.st.mu.Unlock()
	require.NoError(t, f.Flush(r.ctx))
	got := &staging.Map{}
	require.NoError(t, r.engine.tree.View(func(tx *tree.Tx) error {
		return loadMap(tx.Badger(), rowExtents, f.Ino(), got)
	}))
	require.Len(t, got.Extents(), n)
	f.Release()
	r.unlink("f")
	require.Zero(t, r.regionRows(rowExtents))
}

func requireSame(t *testing.T, want []byte, got string) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		if want[i] != got[i] {
			require.Failf(t, "not the same", "byte %d is %d, not %d", i, got[i], want[i])
		}
	}
}

// TestOfflineIsSeenWithinSeconds: a cut shows although nothing is to be sent.
func TestOfflineIsSeenWithinSeconds(t *testing.T) {
	r := newRig(t, settleNever)
	r.caughtUp()
	require.Zero(t, r.engine.Status().Offline)
	before := time.Now()
	r.server.Close()
	r.eventually(func() bool { return !r.engine.Status().Offline.IsZero() })
	require.Less(t, time.Since(before), 30*time.Second)
	require.False(t, r.engine.Status().Offline.Before(before))
}
