package cache

import (
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
)

func TestUnitsNeverCrossChunks(t *testing.T) {
	for _, size := range []int64{1, UnitSize, UnitSize + 1, 1 << 20, 4718592, 4718593, 77<<20 + 5} {
		u := int64(0)
		for i := range megacrypto.ChunkCount(size) {
			first, end := chunkUnits(i, size)
			require.Equal(t, u, first, "chunk %d of %d", i, size)
			require.Greater(t, end, first)
			require.LessOrEqual(t, end-first, int64(smallUnits))
			for ; u < end; u++ {
				require.Equal(t, i, chunkOf(u))
			}
		}
		require.Equal(t, unitEnd(size), u)
	}
}

func TestUnitLen(t *testing.T) {
	require.Equal(t, UnitSize, unitLen(0, 1<<20))
	require.Equal(t, 1, unitLen(1, UnitSize+1))
	require.Equal(t, UnitSize, unitLen(0, UnitSize))
	require.Equal(t, 0, unitLen(1, UnitSize))
	require.Equal(t, 0, unitLen(0, 0))
}

func TestBitmap(t *testing.T) {
	b := newBitmap(130)
	for _, i := range []int64{0, 63, 64, 129} {
		require.False(t, b.has(i))
		b.set(i)
		require.True(t, b.has(i))
	}
	require.EqualValues(t, 4, b.count())
	b.unset(64)
	require.False(t, b.has(64))
	require.EqualValues(t, 3, b.count())
	require.Empty(t, newBitmap(0))
}

func TestCutAtChunk(t *testing.T) {
	for _, c := range []struct{ first, end, want int64 }{
		{0, 8, 6},    // chunks end at 1, 3, 6, 10, 15, 21, 28, 36, 44 …
		{0, 10, 10},  // on a border
		{28, 36, 36}, // one whole chunk
		{30, 38, 36},
		{36, 52, 52},
		{37, 40, 40}, // no border inside
		{36, 40, 40},
	} {
		require.Equal(t, c.want, cutAtChunk(c.first, c.end), "%+v", c)
	}
}
