package cache

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpillsThatFollowEachOtherAreWrittenTogether(t *testing.T) {
	c := &Cache{}
	one, other := &content{c: c, refs: 1}, &content{c: c, refs: 1}
	put := func(co *content, gen, first int64, n int) {
		c.spills = append(c.spills, &spill{co: co, gen: gen, units: make([]*unit, n), data: stretch{
			first: first, bufs: make([][]byte, n), sums: make([][sumSize]byte, n),
		}})
		co.refs++
		co.spills++
	}
	put(one, 0, 8, 8)
	put(other, 0, 16, 8)
	put(one, 0, 24, 8) // continues the one that comes last
	put(one, 1, 16, 8) // of what was emptied meanwhile
	put(one, 0, 16, 8)
	put(one, 0, 32, stretchMost)
	var got [][2]int64
	for len(c.spills) > 0 {
		s := c.takeSpillLocked()
		require.Len(t, s.data.bufs, len(s.units))
		require.Len(t, s.data.sums, len(s.units))
		got = append(got, [2]int64{s.data.first, int64(len(s.units))})
	}
	require.Equal(t, [][2]int64{{8, 24}, {16, 8}, {16, 8}, {32, stretchMost}}, got)
	require.Equal(t, 1+3, one.refs, "one for each that is written")
	require.Equal(t, 3, one.spills)
	require.Equal(t, 1+1, other.refs)
}
