package writeback

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A file whose commit failed at its close stays in memory, and counts as open, until it could be committed: not longer.
func TestFileWhoseCommitFailedAtItsClose(t *testing.T) {
	r := newRig(t, func(o *Options) { settleNever(o); o.Timings.Commit = never })
	f := r.create("f")
	_, err := f.WriteAt(r.ctx, []byte("content"), 0)
	require.NoError(t, err)
	ino, key := f.Ino(), inoKey(rowEntry, f.Ino())
	var row []byte
	swap := func(to []byte) { // without the memory of it
		require.NoError(t, r.engine.update(r.ctx, func(c *change) (err error) {
			row, err = rawRow(c.b, key)
			require.NoError(t, err)
			return c.b.Set(key, to)
		}))
	}
	swap([]byte{rowVersion, 0xff})
	f.Release()
	require.True(t, r.engine.isOpen(ino))
	require.Error(t, r.engine.commitAll(r.ctx))
	require.True(t, r.engine.isOpen(ino), "what it holds is nowhere else")
	require.Equal(t, "content", r.read("f"))
	require.True(t, r.engine.isOpen(ino))

	swap(row)
	require.NoError(t, r.engine.commitAll(r.ctx))
	require.False(t, r.engine.isOpen(ino))
	r.crash()
	r.start()
	require.Equal(t, "content", r.read("f"))
	r.flush()
	require.Equal(t, map[string]string{"f": "content"}, r.cloud())
}
