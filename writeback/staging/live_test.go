package staging

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// smallStore fills segments quickly: each append of 3,000 bytes takes one.
func smallStore(t *testing.T, o Options) (*Store, [][]Extent) {
	o.SegmentSize = 4096
	s := openStore(t, o)
	var all [][]Extent
	for i := range uint64(4) {
		all = append(all, mustAppend(t, s, testOwner, 0, content(i, 3000)))
	}
	require.Equal(t, 4, settle(s).Segments)
	return s, all
}

func TestDeadSegmentsGo(t *testing.T) {
	s, all := smallStore(t, Options{})
	s.Release(all[1]...)
	require.Equal(t, 3, settle(s).Segments)
	require.Len(t, segmentFiles(t, s.dir), 3)
	var corrupt *CorruptError
	require.ErrorAs(t, s.ReadAt(all[1][0], make([]byte, 3), 0), &corrupt)
	require.ErrorIs(t, corrupt, ErrMissing)
	require.Equal(t, all[1][0].Seg, corrupt.Seg)

	s.Release(all[3]...)
	require.Equal(t, 3, settle(s).Segments, "the current one stays")
	requireContent(t, content(0, 3000), readBack(t, s, all[0]))
	mustAppend(t, s, testOwner, 0, content(9, 3000))
	require.Equal(t, 3, settle(s).Segments, "until it is full")
}

func TestReferencesAreBytes(t *testing.T) {
	s, all := smallStore(t, Options{})
	e := all[0][0]
	var m Map
	m.Insert(e)
	part := Extent{Off: 1000, Len: 500, Seg: all[1][0].Seg, Pos: all[1][0].Pos}
	s.Retain(part)
	dropped := m.Insert(part)
	require.Len(t, m.Extents(), 3, "split in two")
	s.Release(dropped...)
	require.EqualValues(t, 4*3000-500, s.Usage().Live)
	frozen := m.Clone()
	s.Retain(frozen.Extents()...)
	require.EqualValues(t, 4*3000, s.Usage().Live, "at most a record's size is counted")

	s.Release(m.Truncate(1200)...)
	s.Release(m.Truncate(0)...)
	require.Equal(t, 4, settle(s).Segments, "the frozen map holds it")
	s.Release(frozen.Extents()...)
	require.Equal(t, 3, settle(s).Segments)
	require.EqualValues(t, 9000, s.Usage().Live)
}

func TestStartedDropsTheRest(t *testing.T) {
	s, all := smallStore(t, Options{})
	require.NoError(t, s.Close())
	again, err := Open(Options{Dir: s.dir, Key: testKey, SegmentSize: 4096})
	require.NoError(t, err)
	defer again.Close()
	again.Retain(all[0]...)
	again.Retain(all[2]...)
	again.Release(all[2]...)
	fresh := mustAppend(t, again, testOwner, 0, content(7, 3000))
	mustAppend(t, again, testOwner, 0, content(8, 3000))
	require.Equal(t, 6, settle(again).Segments, "nothing goes before Started")
	again.Started()
	require.Equal(t, 3, settle(again).Segments)
	requireContent(t, content(0, 3000), readBack(t, again, all[0]))
	requireContent(t, content(7, 3000), readBack(t, again, fresh))
}

// While somebody reads a record its segment stays.
func TestReadersHoldSegments(t *testing.T) {
	s, all := smallStore(t, Options{})
	seg, f, err := s.acquire(all[0][0].Seg)
	require.NoError(t, err)
	s.Release(all[0]...)
	require.Equal(t, 4, settle(s).Segments)
	_, err = os.Stat(f.Name())
	require.NoError(t, err)
	s.leave(seg)
	require.Equal(t, 3, settle(s).Segments)
	_, err = os.Stat(f.Name())
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestBarrier(t *testing.T) {
	var called int
	var fail error
	var during func()
	s, all := smallStore(t, Options{Barrier: func() error {
		called++
		if during != nil {
			during()
		}
		return fail
	}})
	fail = errors.New("the database's disk is full")
	s.Release(all[0]...)
	require.Equal(t, 4, settle(s).Segments, "kept while the database can't be synced")
	require.Equal(t, 1, called)

	fail = nil
	s.Release(all[1]...)
	require.Equal(t, 2, settle(s).Segments, "both go")
	require.Equal(t, 2, called, "one barrier for both")

	during = func() { s.Retain(all[2]...) } // somebody takes it up again
	s.Release(all[2]...)
	require.Equal(t, 2, settle(s).Segments)
	requireContent(t, content(2, 3000), readBack(t, s, all[2]))
}

// What dies while the database is synced isn't unlinked before it was synced once more: the rows that still named it may
// be the ones that are on the disk.
func TestBarrierIsForWhatWasDeadBefore(t *testing.T) {
	var s *Store
	var all [][]Extent
	var files []int
	s, all = smallStore(t, Options{Barrier: func() error {
		if files = append(files, len(segmentFiles(t, s.dir))); len(files) == 1 {
			s.Release(all[1]...)
		}
		return nil
	}})
	s.Release(all[0]...)
	require.Equal(t, 2, settle(s).Segments)
	require.Equal(t, []int{4, 3}, files)
}

func TestOverRelease(t *testing.T) {
	s, all := smallStore(t, Options{})
	s.Release(all[0][0].Cut(0, 10))
	s.Release(all[0]...) // ten bytes too many
	require.Equal(t, 4, settle(s).Segments)
	s.Release(all[0][0].Cut(10, 3000))
	require.Equal(t, 4, settle(s).Segments, "accounts that are wrong unlink nothing")
	s.Release(Extent{Len: 1, Seg: 12345}, Extent{})
	s.Retain(Extent{})
}

// The database names a segment that isn't there.
func TestMissingSegment(t *testing.T) {
	s := openStore(t, Options{})
	e := Extent{Off: 5, Len: 10, Seg: 4711, Pos: 128}
	s.Retain(e)
	var corrupt *CorruptError
	require.ErrorAs(t, s.ReadAt(e, make([]byte, 10), 0), &corrupt)
	require.Equal(t, CorruptError{Seg: 4711, Pos: 128, Err: ErrMissing}, *corrupt)
	s.Release(e)
	require.Zero(t, settle(s))
}

func TestUsage(t *testing.T) {
	s, all := smallStore(t, Options{})
	var disk int64
	for _, f := range segmentFiles(t, s.dir) {
		disk += f.size
	}
	require.Equal(t, Usage{Live: 12000, Disk: disk, Segments: 4}, s.Usage())
	s.Release(all[2][0].Cut(100, 200))
	list := s.Segments()
	require.Len(t, list, 4)
	for i, u := range list {
		require.Equal(t, all[i][0].Seg, u.Seg)
		require.Equal(t, i == 3, u.Current)
		require.Equal(t, []int64{3000, 3000, 2900, 3000}[i], u.Live)
		require.Greater(t, u.Disk, int64(3000))
	}
}

// More segments than files may be open.
func TestFilesAreClosedAndReopened(t *testing.T) {
	s := openStore(t, Options{SegmentSize: 4096})
	s.openLimit = 5
	var all [][]Extent
	for i := range uint64(40) {
		all = append(all, mustAppend(t, s, testOwner, 0, content(i, 3000)))
		mustSync(t, s)
	}
	for range 2 {
		for i := range uint64(40) {
			requireContent(t, content(i, 3000), readBack(t, s, all[i]))
			open := 0
			for _, seg := range s.segments {
				if seg.isOpen() {
					open++
				}
			}
			require.LessOrEqual(t, open, 7)
		}
	}
}

// A file that can't be unlinked is kept for the next start, and said.
func TestUnlinkFails(t *testing.T) {
	s, all := smallStore(t, Options{})
	path := s.segments[all[0][0].Seg].path
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.MkdirAll(path+"/in the way", 0o700))
	s.Release(all[0]...)
	s.Release(all[1]...)
	require.Equal(t, 3, settle(s).Segments)
	require.DirExists(t, path)
}
