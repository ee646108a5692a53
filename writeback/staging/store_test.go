package staging

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendAndRead(t *testing.T) {
	s := openStore(t, Options{SegmentSize: 1 << 20})
	for i, test := range []struct {
		off  int64
		size int
	}{
		{0, 1}, {0, 4096}, {0, MaxRecord}, {1, MaxRecord}, {MaxRecord - 1, 2}, {0, MaxRecord + 1},
		{4095, 1 << 20}, {RegionSize - 1, 2}, {RegionSize - 100, 3 << 20}, {1 << 62, 70000},
		{math.MaxInt64 - 10, 10}, {0, 5 << 20},
	} {
		p := content(uint64(i), test.size)
		es := mustAppend(t, s, testOwner, test.off, p)
		requireContent(t, p, readBack(t, s, es))
		require.NoError(t, s.Verify(context.Background(), es...))
	}
	es, err := s.Append(testOwner, 5, nil)
	require.NoError(t, err)
	require.Empty(t, es)
}

func TestReadParts(t *testing.T) {
	for name, cache := range map[string]int{"cached": 0, "uncached": -1, "small cache": 200 << 10} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{CacheBytes: cache})
			p := content(1, 300000)
			es := mustAppend(t, s, testOwner, 0, p)
			var m Map
			m.Insert(es...)
			m.Insert(mustAppend(t, s, testOwner, 150000, content(2, 10))...)
			copy(p[150000:], content(2, 10))
			for off := int64(0); off < 300000; off += 4096 {
				n := min(4096, 300000-off)
				var got []byte
				for _, piece := range m.Pieces(off, n) {
					part := make([]byte, piece.Len)
					require.NoError(t, s.ReadAt(*piece.Extent, part, 0))
					got = append(got, part...)
				}
				requireContent(t, p[off:off+n], got)
			}
			part := make([]byte, 7)
			require.NoError(t, s.ReadAt(es[0], part, 1000))
			requireContent(t, p[1000:1007], part)
			require.NoError(t, s.ReadAt(es[0], nil, es[0].Len))
			require.ErrorIs(t, s.ReadAt(es[0], part, es[0].Len-6), ErrExtents)
			require.ErrorIs(t, s.ReadAt(es[0], part, -1), ErrExtents)
			require.ErrorIs(t, s.ReadAt(Extent{}, part, 0), ErrExtents)
		})
	}
}

func TestRecordCacheIsBounded(t *testing.T) {
	s := openStore(t, Options{CacheBytes: 300 << 10})
	es := mustAppend(t, s, testOwner, 0, content(1, 1<<20))
	one := make([]byte, 1)
	for _, e := range es {
		require.NoError(t, s.ReadAt(e, one, 5))
		require.LessOrEqual(t, s.records.bytes, 300<<10)
	}
	require.Equal(t, 2, s.records.lru.Len())
	// A cached record is served though its segment is damaged: it was verified.
	require.NoError(t, os.Truncate(s.segments[es[7].Seg].path, headerSize))
	require.NoError(t, s.ReadAt(es[7], one, 6))
	require.Equal(t, content(1, 1<<20)[7*MaxRecord+6], one[0])
	require.Error(t, s.Verify(context.Background(), es[7]), "Verify bypasses the cache")
}

func TestAppendRefuses(t *testing.T) {
	s := openStore(t, Options{})
	for _, off := range []int64{-1, math.MinInt64, math.MaxInt64, math.MaxInt64 - 1} {
		_, err := s.Append(testOwner, off, []byte("ab"))
		require.ErrorIs(t, err, ErrRange)
	}
	_, err := s.Append(Owner{Base: strings.Repeat("x", maxBase+1)}, 0, []byte("ab"))
	require.ErrorIs(t, err, ErrOwner)
	require.Zero(t, s.Usage())
}

func TestClosed(t *testing.T) {
	s := openStore(t, Options{})
	es := mustAppend(t, s, testOwner, 0, []byte("abc"))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err := s.Append(testOwner, 0, []byte("abc"))
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.ReadAt(es[0], make([]byte, 3), 0), ErrClosed)
	require.ErrorIs(t, s.Sync(context.Background()), ErrClosed)
	s.Release(es...)
	require.Len(t, segmentFiles(t, s.dir), 1, "a closed store unlinks nothing")
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	p := content(3, 3<<20)
	s := openStore(t, Options{Dir: dir, SegmentSize: 1 << 20})
	es := mustAppend(t, s, testOwner, 0, p)
	old := segmentFiles(t, dir)
	require.Greater(t, len(old), 2)
	require.NoError(t, s.Close())

	again, err := Open(Options{Dir: dir, Key: testKey})
	require.NoError(t, err)
	defer again.Close()
	again.Retain(es...)
	again.Started()
	requireContent(t, p, readBack(t, again, es))
	fresh := mustAppend(t, again, testOwner, 0, []byte("new"))
	require.Greater(t, fresh[0].Seg, old[len(old)-1].id)
	now := segmentFiles(t, dir)
	for i, f := range old {
		require.Equal(t, f.size, now[i].size, "an old segment was appended to")
	}
}

// The clock was set back: numbers and stamps still rise.
func TestNumbersRise(t *testing.T) {
	dir := t.TempDir()
	wrap := newWrapper(testKey)
	high, err := createSegment(dir, math.MaxUint64-1<<33, wrap)
	require.NoError(t, err)
	require.NoError(t, high.closeFile())
	s := openStore(t, Options{Dir: dir})
	es := mustAppend(t, s, testOwner, 0, []byte("abc"))
	require.Greater(t, es[0].Seg, high.id)

	last, err := createSegment(dir, math.MaxUint64, wrap)
	require.NoError(t, err)
	require.NoError(t, last.closeFile())
	full := openStore(t, Options{Dir: dir})
	_, err = full.Append(testOwner, 0, []byte("abc"))
	require.Error(t, err, "no number is left")
}

func TestOwnerIsFitted(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir})
	long := Owner{Ino: 1, Path: strings.Repeat("/folder", 6000) + "/file", Base: strings.Repeat("b", maxBase)}
	es := mustAppend(t, s, long, 0, content(1, 300000))
	requireContent(t, content(1, 300000), readBack(t, s, es))
	require.NoError(t, Salvage(dir, testKey, func(o Owner, off int64, data []byte) error {
		require.True(t, strings.HasPrefix(o.Path, "/folder/"), "cut at a name")
		require.True(t, strings.HasSuffix(long.Path, o.Path))
		require.Greater(t, len(o.Path), maxPath-10)
		require.Equal(t, long.Base, o.Base)
		return nil
	}))
}

// breakWrites makes every pwrite of records fail after n bytes.
func breakWrites(s *Store, n int, err error) (heal func()) {
	before := s.write
	s.write = func(f *os.File, p []byte, off int64) (int, error) {
		k, _ := f.WriteAt(p[:min(n, len(p))], off)
		return k, err
	}
	return func() { s.write = before }
}

func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir})
	before := mustAppend(t, s, testOwner, 0, content(1, 200000))
	usage := s.Usage()
	heal := breakWrites(s, 100000, syscall.ENOSPC)
	_, err := s.Append(testOwner, 0, content(2, 200000))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, usage, s.Usage(), "nothing is referenced")
	heal()
	after := mustAppend(t, s, testOwner, 0, content(3, 200000))
	requireContent(t, content(1, 200000), readBack(t, s, before))
	requireContent(t, content(3, 200000), readBack(t, s, after))
	require.Greater(t, after[0].Pos, before[1].Pos+200000, "a position that was tried is never used again")

	// A later batch of one call fails: the earlier ones are given back.
	calls := 0
	s.write = func(f *os.File, p []byte, off int64) (int, error) {
		if calls++; calls == 3 {
			return 0, syscall.ENOSPC
		}
		return f.WriteAt(p, off)
	}
	usage = s.Usage()
	_, err = s.Append(testOwner, 0, content(4, 5<<20))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, usage.Live, s.Usage().Live)
	require.Equal(t, 3, calls)
}

// On a real disk that is really full.
func TestDiskReallyFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "small")
	require.NoError(t, os.Mkdir(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skip("SKIPPED: mounting a small tmpfs needs root: ", err)
	}
	defer func() { require.NoError(t, syscall.Unmount(dir, 0)) }()
	s, err := Open(Options{Dir: dir, Key: testKey, SegmentSize: 1 << 20})
	require.NoError(t, err)
	s.Started()
	var kept [][]Extent
	for err == nil {
		var es []Extent
		if es, err = s.Append(testOwner, 0, content(uint64(len(kept)), 100000)); err == nil {
			kept = append(kept, es)
		}
		require.Less(t, len(kept), 40)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Greater(t, len(kept), 20)
	for i, es := range kept {
		requireContent(t, content(uint64(i), 100000), readBack(t, s, es))
	}
	require.NoError(t, s.Sync(context.Background()))
	for range 50 { // nothing is made worse by trying
		_, err = s.Append(testOwner, 0, content(1, 900000))
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
	for _, es := range kept[1:] {
		s.Release(es...)
	}
	s.tasks.Wait()
	es := mustAppend(t, s, testOwner, 0, content(99, 1000000))
	requireContent(t, content(99, 1000000), readBack(t, s, es))
	requireContent(t, content(0, 100000), readBack(t, s, kept[0]))
	require.NoError(t, s.Close())
}
