package cache

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPinnedContentStays(t *testing.T) {
	const size = 10 << 20
	pinned, other := seededFile(size, 1), seededFile(size, 2)
	byNonce := map[[8]byte]*cloudFile{pinned.Key.Nonce: pinned, other.Key.Nonce: other}
	var fetched int64
	c, err := Open(Options{Dir: t.TempDir(), DiskFloor: -1, DiskLimit: 18 << 20, MemoryUnits: minUnits, Fetch: manyFetch(byNonce, &fetched)})
	require.NoError(t, err)
	defer c.Close()
	told := int64(0)
	c.Pin(pinned.File)
	require.NoError(t, c.Fill(bg, pinned.File, func(n int64) { told += n }))
	require.EqualValues(t, size, told)
	require.EqualValues(t, size, fetched)
	require.ErrorIs(t, c.Fill(bg, other.File, nil), ErrNotKept)
	readAll(t, c, other)
	require.EqualValues(t, size, c.State(pinned.File).Cached)
	before := fetched
	require.NoError(t, c.Fill(bg, pinned.File, nil))
	readAll(t, c, pinned)
	require.Equal(t, before, fetched)

	c.Unpin(pinned.File)
	require.NoError(t, c.Fill(bg, other.File, nil))
	require.Less(t, c.State(pinned.File).Cached, int64(size))
}

func TestFillOfASmallFileAndWithoutDisk(t *testing.T) {
	f := makeFile(t, 300_000)
	cl := newCloud(f)
	c := cl.open(t, onDisk(t.TempDir()))
	require.NoError(t, c.Fill(bg, f.File, nil))
	require.EqualValues(t, f.Size, c.State(f.File).Cached)
	none := newCloud(f).open(t)
	none.Pin(f.File)
	require.ErrorIs(t, none.Fill(bg, f.File, nil), ErrNotKept)
}
