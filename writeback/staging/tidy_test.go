package staging

import (
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// file is a file as a writer sees it: a map, and what it must hold.
type file struct {
	s    *Store
	m    Map
	want []byte
}

func (f *file) write(t *testing.T, off int64, p []byte) {
	if grow := int(off) + len(p) - len(f.want); grow > 0 {
		f.want = append(f.want, make([]byte, grow)...)
	}
	copy(f.want[off:], p)
	f.s.Release(f.m.Insert(mustAppend(t, f.s, testOwner, off, p)...)...)
	dropped, err := f.s.Tidy(testOwner, &f.m, off, int64(len(p)))
	require.NoError(t, err)
	f.s.Release(dropped...)
}

func (f *file) check(t *testing.T) {
	f.m.checkInvariants(t)
	for _, p := range f.m.Pieces(0, int64(len(f.want))) {
		if p.Extent != nil {
			got := make([]byte, p.Len)
			require.NoError(t, f.s.ReadAt(*p.Extent, got, 0))
			requireContent(t, f.want[p.Off:p.Off+p.Len], got)
		}
	}
	require.Equal(t, f.m.Bytes(), f.s.Usage().Live, "references are kept exactly")
}

// A log: a few bytes at the end, very often.
func TestTidySmallAppends(t *testing.T) {
	f := &file{s: openStore(t, Options{})}
	written := int64(0)
	plain := f.s.write
	f.s.write = func(file *os.File, p []byte, off int64) (int, error) {
		written += int64(len(p))
		return plain(file, p, off)
	}
	for i := range uint64(30000) {
		f.write(t, int64(len(f.want)), content(i, 10))
	}
	f.check(t)
	require.Less(t, f.m.Len(), 400, "300,000 bytes in writes of 10")
	require.Less(t, written, int64(30000*200*2), "and that for less than twice what the appends themselves take")
}

// Bytes here and there in a file that is staged whole.
func TestTidyRandomBytes(t *testing.T) {
	f := &file{s: openStore(t, Options{})}
	f.write(t, 0, content(1, 500000))
	for i := range uint64(5000) {
		f.write(t, rand.Int64N(500000), content(i, 1))
	}
	f.check(t)
	require.Less(t, f.m.Len(), 4*(tidyAlways+16))
}

// Holes stay holes: the base's bytes aren't here.
func TestTidyKeepsHoles(t *testing.T) {
	f := &file{s: openStore(t, Options{})}
	for i := range int64(1000) {
		f.write(t, i*100, content(uint64(i), 10))
	}
	f.check(t)
	require.EqualValues(t, 10000, f.m.Bytes())
	require.Equal(t, 1000, f.m.Len())
}

func TestTidyFails(t *testing.T) {
	f := &file{s: openStore(t, Options{})}
	for i := range uint64(tidyCount - 1) {
		f.write(t, int64(len(f.want)), content(i, 10))
	}
	f.s.Release(f.m.Insert(mustAppend(t, f.s, testOwner, int64(len(f.want)), content(9, 10))...)...)
	f.want = append(f.want, content(9, 10)...)
	heal := breakWrites(f.s, 0, syscall.ENOSPC)
	_, err := f.s.Tidy(testOwner, &f.m, 0, 1)
	require.ErrorIs(t, err, syscall.ENOSPC)
	f.check(t)
	heal()
	dropped, err := f.s.Tidy(testOwner, &f.m, 0, 1)
	require.NoError(t, err)
	f.s.Release(dropped...)
	require.Equal(t, 1, f.m.Len())
	f.check(t)
	dropped, err = f.s.Tidy(testOwner, &f.m, -1, 5)
	require.NoError(t, err)
	require.Nil(t, dropped)
}
