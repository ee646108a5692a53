package cache

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is fetched for programs that don't simply read on.
func TestPatternsOfReading(t *testing.T) {
	const size = 32 << 20
	type read struct {
		off int64
		n   int
	}
	several := func(first, end, step int64, n int) (list []read) {
		for off := first; off != end; off += step {
			list = append(list, read{off, n})
		}
		return list
	}
	for name, p := range map[string]struct {
		reads []read
		most  int64 // bytes that may be fetched
	}{
		"backward":               {several(size-64<<10, -64<<10, -64<<10, 64<<10), size},
		"backward, a few":        {several(size-64<<10, size-17*64<<10, -64<<10, 64<<10), 2 << 20},
		"every fourth unit":      {several(0, size, 4*UnitSize, 4096), size / 4},
		"a page each 2 MiB":      {several(0, size, 2<<20, 4096), 16 * UnitSize},
		"the same again":         {append(several(0, 1<<20, 4096, 4096), several(0, 1<<20, 4096, 4096)...), 5 << 20},
		"end, then the start":    {[]read{{size - 4096, 4096}, {0, 4096}}, 2 * UnitSize},
		"head of it":             {[]read{{0, 1}}, UnitSize},
		"two readers in a file":  {interleave(several(0, 8<<20, 64<<10, 64<<10), several(16<<20, 24<<20, 64<<10, 64<<10)), 18<<20 + 16<<20},
		"a player, then a seek":  {append(several(0, 2<<20, 64<<10, 64<<10), several(20<<20, 22<<20, 64<<10, 64<<10)...), 16 << 20},
		"a demuxer's two tracks": {interleave(several(0, 4<<20, 32<<10, 32<<10), several(3<<20, 7<<20, 32<<10, 32<<10)), 16 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			f := makeFile(t, size)
			cl := newCloud(f)
			c := cl.open(t)
			r := c.NewReader(f.File)
			for _, at := range p.reads {
				require.NoError(t, readWith(t, r, f, at.off, at.n))
			}
			r.Close()
			moved := cl.moved(t)
			t.Logf("%d KiB for %d reads", moved>>10, len(p.reads))
			require.LessOrEqual(t, moved, p.most)
			st := c.Stats()
			require.LessOrEqual(t, st.Wasted, int64(wasteStart)+(st.Fetched-st.Wasted)/wasteShare+2<<20)
		})
	}
}

func interleave[T any](a, b []T) (list []T) {
	for i := range a {
		list = append(list, a[i], b[i])
	}
	return list
}
