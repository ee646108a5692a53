package staging

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func none(uint64) bool { return false }

// overwritten makes a store with one full segment, of which the first record of
// each four is live, and those.
func overwritten(t *testing.T) (s *Store, live []Extent) {
	s = openStore(t, Options{SegmentSize: 64 << 10})
	for i := range 300 {
		es := mustAppend(t, s, testOwner, int64(i)<<10, content(uint64(i), 1<<10))
		if i%4 == 0 {
			live = append(live, es...)
		} else {
			s.Release(es...)
		}
	}
	return s, live
}

func moveAll(t *testing.T, s *Store, es []Extent) (moved []Extent) {
	t.Helper()
	m := s.NewMover()
	defer m.Close()
	for _, e := range es {
		to, err := m.Move(e)
		require.NoError(t, err)
		require.Equal(t, [2]int64{e.Off, e.Len}, [2]int64{to.Off, to.Len})
		moved = append(moved, to)
	}
	return moved
}

// What is live in wasteful segments is moved, they go, and the store is small.
func TestMovingEmptiesWastefulSegments(t *testing.T) {
	s, live := overwritten(t)
	var want []byte
	for _, e := range live {
		want = append(want, readBack(t, s, []Extent{e})...)
	}
	require.Greater(t, s.Usage().Disk, 3*s.Usage().Live)
	for ids := s.Wasteful(none); len(ids) > 0; ids = s.Wasteful(none) {
		for i, e := range live {
			if e.Seg == ids[0] {
				live[i] = moveAll(t, s, []Extent{e})[0]
				s.Release(e)
			}
		}
		settle(s)
		require.NoFileExists(t, filepath.Join(s.dir, segmentName(ids[0])))
	}
	var got []byte
	for _, e := range live {
		got = append(got, readBack(t, s, []Extent{e})...)
	}
	requireContent(t, want, got)
	u := s.Usage()
	require.LessOrEqual(t, u.Disk, 2*(u.Live+recordCost*int64(len(live)))+s.limit)
}

// What is to be left alone isn't proposed.
func TestWastefulSkips(t *testing.T) {
	s, _ := overwritten(t)
	ids := s.Wasteful(none)
	require.NotEmpty(t, ids)
	require.NotContains(t, s.Wasteful(func(id uint64) bool { return id == ids[0] }), ids[0])
	require.Empty(t, s.Wasteful(func(uint64) bool { return true }))
}

// A store that is small, or whose segments are well used, is left alone.
func TestNothingIsWasteful(t *testing.T) {
	s := openStore(t, Options{SegmentSize: 64 << 10})
	for i := range 200 {
		es := mustAppend(t, s, testOwner, int64(i)<<10, content(uint64(i), 1<<10))
		if i%4 == 0 {
			s.Release(es...)
		}
	}
	require.Empty(t, s.Wasteful(none))
}

// To Salvage a copy is what it was made of: what was written later stays on top
// of it.
func TestSalvageKnowsCopiesForWhatTheyAre(t *testing.T) {
	s := openStore(t, Options{SegmentSize: 64 << 10})
	first := mustAppend(t, s, testOwner, 0, content(1, 8<<10))
	mustAppend(t, s, testOwner, 2<<10, content(2, 1<<10))
	moved := moveAll(t, s, []Extent{first[0].Cut(1<<10, 8<<10)})
	requireContent(t, content(1, 8<<10)[1<<10:], readBack(t, s, moved))
	want := content(1, 8<<10)
	copy(want[2<<10:], content(2, 1<<10))
	got := make([]byte, 8<<10)
	require.NoError(t, Salvage(s.dir, testKey, func(o Owner, off int64, data []byte) error {
		require.Equal(t, testOwner, o)
		copy(got[off:], data)
		return nil
	}))
	requireContent(t, want, got)
}

// A record that many extents share is moved once.
func TestSharedRecordsAreMovedOnce(t *testing.T) {
	s := openStore(t, Options{SegmentSize: 1 << 20})
	first := mustAppend(t, s, testOwner, 0, content(1, 128<<10))[0]
	var es []Extent
	for i := range int64(50) {
		e := first.Cut(i<<10, 100<<10)
		e.Off = i * MaxRecord
		s.Retain(e)
		es = append(es, e)
	}
	s.Release(first)
	before := s.Usage().Disk
	moved := moveAll(t, s, es)
	require.Less(t, s.Usage().Disk-before, int64(140<<10))
	for i, e := range moved {
		requireContent(t, content(1, 128<<10)[i<<10:100<<10], readBack(t, s, []Extent{e}))
	}
	s.Release(es...)
	require.EqualValues(t, 128<<10, settle(s).Live, "once")
}

// What can't be read isn't moved.
func TestDamagedRecordsAreNotMoved(t *testing.T) {
	s := openStore(t, Options{CacheBytes: -1})
	e := mustAppend(t, s, testOwner, 0, content(1, 4<<10))[0]
	path := filepath.Join(s.dir, segmentName(e.Seg))
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	raw[len(raw)-1] ^= 1
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	m := s.NewMover()
	defer m.Close()
	_, err = m.Move(e)
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt)
	e.Seg++
	_, err = m.Move(e)
	require.ErrorIs(t, err, ErrMissing)
}
