package cache

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// Buffers lie one behind another in huge pages, there are as many as may be, and none shares a byte with the next.
func TestBuffersLieInHugePages(t *testing.T) {
	for _, most := range []int{minUnits, slabUnits, slabUnits + 5, 3*slabUnits - 1} {
		var b buffers
		for i := range most {
			buf := b.take(most)
			require.Len(t, buf, UnitSize)
			require.Equal(t, UnitSize, cap(buf))
			at := uintptr(unsafe.Pointer(unsafe.SliceData(buf)))
			require.EqualValues(t, i%slabUnits*UnitSize%hugePage, at%hugePage)
		}
		require.Empty(t, b.rest)
		require.Equal(t, most, b.made)
	}
}
