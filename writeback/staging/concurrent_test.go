package staging

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Everything at once, with small segments, few open files, and segments that
// die all the time.
func TestConcurrent(t *testing.T) {
	s := openStore(t, Options{SegmentSize: 64 << 10, CacheBytes: 100 << 10, Barrier: func() error { return nil }})
	s.openLimit = 3
	var workers sync.WaitGroup
	for w := range uint64(6) {
		workers.Go(func() {
			var m Map
			want := make([]byte, 300000)
			for i := range uint64(60) {
				off := int64(i * 7919 % 200000)
				p := content(w<<20|i, int(1+i*104729%90000))
				copy(want[off:], p)
				es, err := s.Append(Owner{Ino: w, Path: "/c"}, off, p)
				require.NoError(t, err)
				dropped := m.Insert(es...)
				switch i % 8 {
				case 1:
					require.NoError(t, s.Sync(context.Background()))
				case 2:
					require.NoError(t, s.Verify(context.Background(), m.Extents()...))
				case 3:
					s.Usage()
					s.Segments()
				}
				s.Release(dropped...)
				for _, e := range m.Extents() {
					got := make([]byte, min(e.Len, 5000))
					require.NoError(t, s.ReadAt(e, got, 0))
					requireContent(t, want[e.Off:e.Off+int64(len(got))], got)
				}
			}
			s.Release(m.Extents()...)
		})
	}
	workers.Wait()
	require.Zero(t, settle(s).Live)
	require.LessOrEqual(t, s.Usage().Segments, 1)
}

// Close while others work: they finish or are told, and nothing leaks.
func TestCloseUnderWay(t *testing.T) {
	for range 20 {
		s := openStore(t, Options{SegmentSize: 16 << 10})
		first := mustAppend(t, s, testOwner, 0, content(1, 10000))
		var workers sync.WaitGroup
		for w := range uint64(3) {
			workers.Go(func() {
				for i := uint64(0); ; i++ {
					es, err := s.Append(testOwner, 0, content(w<<20|i, 5000))
					if err == nil {
						s.Release(es...)
						err = s.ReadAt(first[0], make([]byte, 10), 0)
					}
					if err == nil {
						err = s.Sync(context.Background())
					}
					if err != nil {
						require.ErrorIs(t, err, ErrClosed)
						return
					}
				}
			})
		}
		require.NoError(t, s.Close())
		workers.Wait()
		for _, seg := range s.segments {
			require.False(t, seg.isOpen(), "a file is left open")
		}
	}
}
