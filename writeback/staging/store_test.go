package staging

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuick(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	require.NoError(t, err)
	p := bytes.Repeat([]byte("0123456789abcdef"), 200000)
	es, err := s.Append(Owner{Ino: 7, Path: "/a/b", Base: "x"}, 4095, p)
	require.NoError(t, err)
	require.NoError(t, s.Sync(context.Background()))
	var m Map
	m.Insert(es...)
	got := make([]byte, len(p))
	for _, pc := range m.Pieces(4095, int64(len(p))) {
		require.NoError(t, s.ReadAt(*pc.Extent, got[pc.Off-4095:][:pc.Len], 0))
	}
	require.True(t, bytes.Equal(p, got))
	require.NoError(t, s.Close())
	got2 := make([]byte, len(p))
	require.NoError(t, Salvage(dir, [32]byte{}, func(o Owner, off int64, d []byte) error {
		require.Equal(t, Owner{Ino: 7, Path: "/a/b", Base: "x"}, o)
		copy(got2[off-4095:], d)
		return nil
	}))
	require.True(t, bytes.Equal(p, got2))
}
