package tree

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFilter(t *testing.T) {
	f := newFilter()
	key := func(i int) []byte { return binary.BigEndian.AppendUint32([]byte{rowHandle}, uint32(i)) }
	const n = 200_000
	for i := range n {
		f.add(key(i))
	}
	wrong := 0
	for i := range n {
		require.True(t, f.has(key(i)))
		if f.has(key(n + i)) {
			wrong++
		}
	}
	require.Less(t, wrong, n/1000)
}

// TestFilterEndsWithTheFirstFetch, and an opened tree that isn't empty has none.
func TestFilterEndsWithTheFirstFetch(t *testing.T) {
	dir := t.TempDir()
	tr, err := Open(Options{Dir: dir, Key: [32]byte{9}})
	require.NoError(t, err)
	require.NotNil(t, tr.written)
	epoch, err := tr.BeginFetch(t.Context())
	require.NoError(t, err)
	require.NoError(t, tr.Update(t.Context(), func(tx *Tx) error {
		for _, n := range append(roots(), folder("DIRAAAAA", rootH, "d")) {
			if err := tx.ApplyNode(n, ""); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NotNil(t, tr.written)
	require.NoError(t, tr.EndFetch(t.Context(), epoch))
	require.Nil(t, tr.written)
	require.NoError(t, tr.Close())
	tr, err = Open(Options{Dir: dir, Key: [32]byte{9}})
	require.NoError(t, err)
	require.Nil(t, tr.written)
	_, err = tr.Lookup(DriveIno, "d")
	require.NoError(t, err)
	require.NoError(t, tr.Close())
}
