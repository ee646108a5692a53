package cache

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A stretch read back is what was written, by either way to the disk, in files that end within a page and within a unit.
func TestStretchesComeBack(t *testing.T) {
	for _, size := range []int{3 * UnitSize, 3*UnitSize - 1, 2*UnitSize + 1, 2*UnitSize + pageSize} {
		for _, direct := range []bool{false, true} {
			f := makeFile(t, size)
			c := newCloud(f).open(t, onDisk(t.TempDir()))
			co := c.hold(f.File)
			e := co.entry
			if !direct {
				require.NoError(t, e.ready())
				e.tried = true // without its own descriptor
			}
			bufs := func() (all [][]byte) {
				for range unitEnd(f.Size) {
					all = append(all, make([]byte, UnitSize))
				}
				return all
			}
			out := bufs()
			for u, b := range out {
				copy(b, f.cipher[u*UnitSize:])
			}
			e.write(e.generation(), stretch{first: 0, bufs: out})
			in := bufs()
			good, err := e.read(stretch{first: 0, bufs: in})
			require.NoError(t, err)
			require.Equal(t, len(in), good)
			for u, b := range in {
				n := unitLen(int64(u), f.Size)
				require.Equal(t, out[u][:n], b[:n])
			}
			raw, err := os.ReadFile(c.store.path(e.name))
			require.NoError(t, err)
			require.Equal(t, f.cipher, raw[:size])
			require.Equal(t, make([]byte, e.l.index()-f.Size), raw[size:e.l.index()], "what follows the end is a hole")
			c.release(co)
		}
	}
}

// Of a stretch that is partly there, or partly wrong, the right beginning is given.
func TestAStretchIsGoodUpToItsFirstHole(t *testing.T) {
	f := makeFile(t, 5*UnitSize)
	c := newCloud(f).open(t, onDisk(t.TempDir()))
	co := c.hold(f.File)
	defer c.release(co)
	e := co.entry
	for u := range int64(4) {
		e.write(e.generation(), stretchOf(u, f.cipher[u*UnitSize:(u+1)*UnitSize]))
	}
	bufs := make([][]byte, 5)
	for i := range bufs {
		bufs[i] = make([]byte, UnitSize)
	}
	good, err := e.read(stretch{first: 0, bufs: bufs})
	require.NoError(t, err)
	require.Equal(t, 4, good)
	file, err := os.OpenFile(c.store.path(e.name), os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte{^f.cipher[2*UnitSize]}, 2*UnitSize)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	good, err = e.read(stretch{first: 0, bufs: bufs})
	require.ErrorIs(t, err, errCorrupt)
	require.Equal(t, 2, good)
	require.False(t, e.has(2))
	require.True(t, e.has(3))
	good, err = e.read(stretch{first: 2, bufs: bufs[:2]})
	require.ErrorIs(t, err, errAbsent)
	require.Zero(t, good)
}
