package staging

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// checkInvariants fails when the map contradicts itself.
func (m *Map) checkInvariants(t require.TestingT) {
	var bytes int64
	count := 0
	require.Len(t, m.order, len(m.regions))
	for i, id := range m.order {
		require.True(t, i == 0 || m.order[i-1] < id, "order isn't sorted")
		r := m.regions[id]
		require.NotNil(t, r)
		require.True(t, r.dirty || len(r.es) > 0, "a clean region without extents is kept")
		for k, e := range r.es {
			require.NoError(t, e.check())
			require.Equal(t, id, Region(e.Off))
			require.Equal(t, id, Region(e.End()-1))
			if k > 0 {
				require.LessOrEqual(t, r.es[k-1].End(), e.Off, "overlap")
				require.False(t, r.es[k-1].joins(e), "neighbours that aren't joined")
			}
			bytes += e.Len
			count++
		}
	}
	require.Equal(t, bytes, m.bytes)
	require.Equal(t, count, m.count)
}

// ext is short for tests: record pos, plaintext skip.
func ext(off, n, pos, skip int64) Extent {
	return Extent{Off: off, Len: n, Seg: 9, Pos: pos, Skip: skip}
}

func TestMapInsert(t *testing.T) {
	const border = RegionSize
	tests := []struct {
		name    string
		have    []Extent
		insert  Extent
		dropped []Extent
		after   []Extent
	}{
		{"into nothing", nil, ext(10, 5, 1, 0), nil, []Extent{ext(10, 5, 1, 0)}},
		{"nothing", []Extent{ext(10, 5, 1, 0)}, ext(12, 0, 2, 0), nil, []Extent{ext(10, 5, 1, 0)}},
		{"before", []Extent{ext(10, 5, 1, 0)}, ext(5, 5, 2, 0), nil, []Extent{ext(5, 5, 2, 0), ext(10, 5, 1, 0)}},
		{"behind", []Extent{ext(10, 5, 1, 0)}, ext(15, 5, 2, 0), nil, []Extent{ext(10, 5, 1, 0), ext(15, 5, 2, 0)}},
		{"same place", []Extent{ext(10, 5, 1, 0)}, ext(10, 5, 2, 0), []Extent{ext(10, 5, 1, 0)}, []Extent{ext(10, 5, 2, 0)}},
		{"over all", []Extent{ext(10, 5, 1, 0), ext(20, 5, 2, 3)}, ext(0, 30, 3, 0),
			[]Extent{ext(10, 5, 1, 0), ext(20, 5, 2, 3)}, []Extent{ext(0, 30, 3, 0)}},
		{"splits in two", []Extent{ext(10, 10, 1, 4)}, ext(13, 2, 2, 0),
			[]Extent{ext(13, 2, 1, 7)}, []Extent{ext(10, 3, 1, 4), ext(13, 2, 2, 0), ext(15, 5, 1, 9)}},
		{"over a start", []Extent{ext(10, 10, 1, 0)}, ext(5, 8, 2, 0),
			[]Extent{ext(10, 3, 1, 0)}, []Extent{ext(5, 8, 2, 0), ext(13, 7, 1, 3)}},
		{"over an end", []Extent{ext(10, 10, 1, 0)}, ext(18, 8, 2, 0),
			[]Extent{ext(18, 2, 1, 8)}, []Extent{ext(10, 8, 1, 0), ext(18, 8, 2, 0)}},
		{"between two, over both", []Extent{ext(0, 10, 1, 0), ext(10, 10, 2, 0)}, ext(8, 4, 3, 0),
			[]Extent{ext(8, 2, 1, 8), ext(10, 2, 2, 0)},
			[]Extent{ext(0, 8, 1, 0), ext(8, 4, 3, 0), ext(12, 8, 2, 2)}},
		{"joins on both sides", []Extent{ext(0, 4, 1, 0), ext(8, 4, 1, 8)}, ext(4, 4, 1, 4),
			nil, []Extent{ext(0, 12, 1, 0)}},
		{"same record elsewhere doesn't join", []Extent{ext(0, 4, 1, 0)}, ext(4, 4, 1, 0),
			nil, []Extent{ext(0, 4, 1, 0), ext(4, 4, 1, 0)}},
		{"itself", []Extent{ext(0, 9, 1, 0)}, ext(3, 3, 1, 3),
			[]Extent{ext(3, 3, 1, 3)}, []Extent{ext(0, 9, 1, 0)}},
		{"across a border", []Extent{ext(border-10, 10, 1, 0), ext(border, 10, 2, 0)}, ext(border-4, 8, 3, 0),
			[]Extent{ext(border-4, 4, 1, 6), ext(border, 4, 2, 0)},
			[]Extent{ext(border-10, 6, 1, 0), ext(border-4, 4, 3, 0), ext(border, 4, 3, 4), ext(border+4, 6, 2, 4)}},
		{"beyond all offsets", nil, ext(math.MaxInt64-3, 5, 1, 0), nil, nil},
		{"at the last offset", nil, ext(math.MaxInt64-5, 5, 1, 0), nil, []Extent{ext(math.MaxInt64-5, 5, 1, 0)}},
		{"below zero", nil, ext(-1, 5, 1, 0), nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var m Map
			require.Empty(t, m.Insert(test.have...))
			require.Equal(t, test.dropped, m.Insert(test.insert))
			m.checkInvariants(t)
			if test.after == nil {
				test.after = []Extent{}
			}
			require.Equal(t, test.after, m.Extents())
		})
	}
}

func TestMapTruncateAndPunch(t *testing.T) {
	var m Map
	m.Insert(ext(0, 10, 1, 0), ext(20, 10, 2, 0), ext(RegionSize, 10, 3, 0))
	require.Equal(t, int64(RegionSize+10), m.End())
	require.Equal(t, []Extent{ext(25, 5, 2, 5), ext(RegionSize, 10, 3, 0)}, m.Truncate(25))
	require.Equal(t, int64(25), m.End())
	require.Nil(t, m.Truncate(25))
	require.Nil(t, m.Truncate(math.MaxInt64))
	require.Equal(t, []Extent{ext(2, 3, 1, 2)}, m.Punch(2, 5))
	require.Nil(t, m.Punch(2, 5))
	require.Nil(t, m.Punch(7, 7))
	m.checkInvariants(t)
	require.Equal(t, []Extent{ext(0, 2, 1, 0), ext(5, 5, 1, 5), ext(20, 5, 2, 0)}, m.Truncate(-3))
	require.Zero(t, m.Bytes())
	require.Zero(t, m.End())
	m.checkInvariants(t)
}

func TestMapPieces(t *testing.T) {
	var m Map
	a, b := ext(10, 10, 1, 5), ext(RegionSize+4, 4, 2, 0)
	m.Insert(a, b)
	part := ext(12, 8, 1, 7)
	require.Equal(t, []Piece{
		{Off: 12, Len: 8, Extent: &part},
		{Off: 20, Len: RegionSize - 16}, // one hole, though it crosses a border
		{Off: RegionSize + 4, Len: 4, Extent: &b},
		{Off: RegionSize + 8, Len: 2},
	}, m.Pieces(12, RegionSize-2))
	require.Equal(t, []Piece{{Off: 0, Len: 10}}, m.Pieces(0, 10))
	require.Nil(t, m.Pieces(0, 0))
	require.Nil(t, m.Pieces(-1, 5))
	last := m.Pieces(RegionSize*2, math.MaxInt64)
	require.Equal(t, []Piece{{Off: RegionSize * 2, Len: math.MaxInt64 - RegionSize*2}}, last)
	require.Equal(t, []Piece{{Off: 5, Len: 1}}, new(Map).Pieces(5, 1))
}

func TestMapRemoveKeepsNewer(t *testing.T) {
	var m Map
	m.Insert(ext(0, 100, 1, 0), ext(200, 50, 2, 0))
	frozen := m.Clone().Extents()
	m.Insert(ext(40, 20, 3, 0)) // written while the upload ran
	m.Truncate(220)
	m.Insert(ext(210, 10, 2, 5)) // another byte of the same record
	require.Equal(t, []Extent{ext(0, 40, 1, 0), ext(60, 40, 1, 60), ext(200, 10, 2, 0)}, m.Remove(frozen))
	require.Equal(t, []Extent{ext(40, 20, 3, 0), ext(210, 10, 2, 5)}, m.Extents())
	m.checkInvariants(t)
}

func TestMapDirtyRegions(t *testing.T) {
	var m Map
	require.Empty(t, m.DirtyRegions())
	m.Insert(ext(RegionSize*7, 10, 1, 0), ext(3, 10, 2, 0))
	require.Equal(t, []uint64{0, 7}, m.DirtyRegions())
	m.ClearRegions([]uint64{0, 99})
	require.Equal(t, []uint64{7}, m.DirtyRegions())
	m.ClearRegions(nil)
	require.Equal(t, []uint64{7}, m.DirtyRegions())
	m.ClearDirty()
	require.Empty(t, m.DirtyRegions())
	m.Truncate(100)
	require.Equal(t, []uint64{7}, m.DirtyRegions(), "its row has to go")
	require.Nil(t, m.Region(7))
	require.Equal(t, []uint64{0}, m.Regions())
	m.ClearDirty()
	m.MarkRegions([]uint64{0})
	require.Equal(t, []uint64{0}, m.DirtyRegions())
	require.Empty(t, m.Clone().DirtyRegions())
	m.checkInvariants(t)
}

func TestMapSetRegion(t *testing.T) {
	good := []Extent{ext(RegionSize+1, 5, 1, 0), ext(RegionSize+6, 5, 1, 5), ext(RegionSize+20, 5, 2, 0)}
	var m Map
	require.NoError(t, m.SetRegion(1, good))
	require.Equal(t, int64(15), m.Bytes())
	require.Equal(t, 2, m.Len(), "joined on the way in")
	require.Empty(t, m.DirtyRegions())
	m.checkInvariants(t)

	for name, bad := range map[string][]Extent{
		"another region": {ext(3, 5, 1, 0)},
		"crosses":        {ext(2*RegionSize-2, 5, 1, 0)},
		"overlap":        {ext(RegionSize, 5, 1, 0), ext(RegionSize+4, 5, 2, 0)},
		"order":          {ext(RegionSize+9, 5, 1, 0), ext(RegionSize, 5, 2, 0)},
		"empty":          {ext(RegionSize, 0, 1, 0)},
		"negative skip":  {ext(RegionSize, 1, 1, -1)},
		"negative place": {ext(RegionSize, 1, -1, 0)},
		"too long":       {ext(RegionSize, MaxRecord, 1, 1)},
	} {
		require.ErrorIs(t, m.SetRegion(1, bad), ErrExtents, name)
	}
	require.Equal(t, int64(15), m.Bytes(), "refused regions change nothing")
	require.NoError(t, m.SetRegion(1, nil))
	require.Zero(t, m.Len())
	m.checkInvariants(t)
}

func TestMapCloneAndRegionAreStable(t *testing.T) {
	var m Map
	m.Insert(ext(0, 10, 1, 0), ext(10, 10, 2, 0))
	clone, row := m.Clone(), m.Region(0)
	want := m.Extents()
	m.Insert(ext(5, 10, 3, 0))
	require.Equal(t, want, clone.Extents())
	require.Equal(t, want, row)
	clone.Truncate(3)
	require.Equal(t, want, row)
	require.Equal(t, []Extent{ext(0, 5, 1, 0), ext(5, 10, 3, 0), ext(15, 5, 2, 5)}, m.Extents())
	m.checkInvariants(t)
	clone.checkInvariants(t)
}

// A cell of the model is one byte of the file: which byte of which record.
type cell struct {
	seg       uint64
	pos, skip int64
}

// mapModel is a Map as an array of bytes, and the map itself.
type mapModel struct {
	m      Map
	cells  map[int64]cell
	refs   map[cell]int64    // by record (skip 0): bytes referred to
	stored map[uint64]string // the rows as last cleared
	next   int64             // record
}

// offsets lie around the borders of a few regions.
func drawOffset(t *rapid.T, label string) int64 {
	region := rapid.Int64Range(0, 3).Draw(t, label+" region")
	return max(0, region*RegionSize+rapid.Int64Range(-40, 40).Draw(t, label))
}

func (mm *mapModel) insert(es ...Extent) {
	for _, e := range es {
		mm.refs[cell{e.Seg, e.Pos, 0}] += e.Len
		for i := range e.Len {
			mm.cells[e.Off+i] = cell{e.Seg, e.Pos, e.Skip + i}
		}
	}
	mm.released(mm.m.Insert(es...))
}

func (mm *mapModel) released(es []Extent) {
	for _, e := range es {
		mm.refs[cell{e.Seg, e.Pos, 0}] -= e.Len
	}
}

func (mm *mapModel) check(t *rapid.T) {
	mm.m.checkInvariants(t)
	seen := make(map[int64]cell)
	refs := make(map[cell]int64)
	for _, e := range mm.m.Extents() {
		refs[cell{e.Seg, e.Pos, 0}] += e.Len
		for i := range e.Len {
			seen[e.Off+i] = cell{e.Seg, e.Pos, e.Skip + i}
		}
	}
	require.Equal(t, mm.cells, seen)
	for rec, n := range mm.refs {
		require.Equal(t, refs[rec], n, "references of record %v", rec)
	}
	dirty := make(map[uint64]bool)
	for _, id := range mm.m.DirtyRegions() {
		dirty[id] = true
	}
	for id := range uint64(5) {
		if string(EncodeExtents(mm.m.Region(id))) != mm.stored[id] {
			require.True(t, dirty[id] || mm.stored[id] == "" && mm.m.Region(id) == nil, "region %d changed and isn't dirty", id)
		}
	}
}

func TestMapModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mm := &mapModel{cells: map[int64]cell{}, refs: map[cell]int64{}, stored: map[uint64]string{}}
		var old []Extent // of a frozen generation
		var clone *Map
		t.Repeat(map[string]func(*rapid.T){
			"": mm.check,
			"insert": func(t *rapid.T) {
				mm.next++
				n := rapid.Int64Range(1, 80).Draw(t, "length")
				mm.insert(Extent{Off: drawOffset(t, "at"), Len: n, Seg: uint64(mm.next%3 + 1), Pos: mm.next, Skip: rapid.Int64Range(0, 5).Draw(t, "skip")})
			},
			"insert again": func(t *rapid.T) {
				if len(old) > 0 {
					mm.insert(rapid.SampledFrom(old).Draw(t, "old"))
				}
			},
			"truncate": func(t *rapid.T) {
				size := drawOffset(t, "size")
				mm.released(mm.m.Truncate(size))
				for off := range mm.cells {
					if off >= size {
						delete(mm.cells, off)
					}
				}
			},
			"punch": func(t *rapid.T) {
				from := drawOffset(t, "from")
				to := from + rapid.Int64Range(0, 60).Draw(t, "length")
				mm.released(mm.m.Punch(from, to))
				for off := from; off < to; off++ {
					delete(mm.cells, off)
				}
			},
			"freeze": func(*rapid.T) { clone = mm.m.Clone(); old = mm.m.Extents() },
			"clone is as it was": func(t *rapid.T) {
				if clone != nil {
					clone.checkInvariants(t)
					require.Equal(t, old, clone.Extents())
				}
			},
			"remove frozen": func(t *rapid.T) {
				mm.released(mm.m.Remove(old))
				for _, e := range old {
					for i := range e.Len {
						if mm.cells[e.Off+i] == (cell{e.Seg, e.Pos, e.Skip + i}) {
							delete(mm.cells, e.Off+i)
						}
					}
				}
			},
			"pieces": func(t *rapid.T) { mm.checkPieces(t, drawOffset(t, "from"), drawOffset(t, "length")) },
			"store": func(t *rapid.T) {
				for _, id := range mm.m.DirtyRegions() {
					mm.stored[id] = string(EncodeExtents(mm.m.Region(id)))
				}
				mm.m.ClearDirty()
			},
			"load": func(t *rapid.T) {
				var loaded Map
				for _, id := range mm.m.Regions() {
					require.NoError(t, loaded.SetRegion(id, mm.m.Region(id)))
				}
				loaded.checkInvariants(t)
				require.Equal(t, mm.m.Extents(), loaded.Extents())
			},
		})
	})
}

func (mm *mapModel) checkPieces(t *rapid.T, from, n int64) {
	at := from
	for i, p := range mm.m.Pieces(from, n) {
		require.Equal(t, at, p.Off)
		require.Positive(t, p.Len)
		at += p.Len
		if p.Extent == nil {
			for off := range mm.cells {
				require.False(t, off >= p.Off && off < p.Off+p.Len, "piece %d says hole where there are bytes", i)
			}
			continue
		}
		require.Equal(t, [2]int64{p.Off, p.Len}, [2]int64{p.Extent.Off, p.Extent.Len})
		for k := range p.Len {
			require.Equal(t, mm.cells[p.Off+k], cell{p.Extent.Seg, p.Extent.Pos, p.Extent.Skip + k})
		}
	}
	require.Equal(t, from+n, at)
}

func TestExtentsCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		es := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Extent {
			e := Extent{Len: rapid.Int64Range(1, MaxRecord).Draw(t, "len"), Seg: rapid.Uint64().Draw(t, "seg"), Pos: rapid.Int64Min(0).Draw(t, "pos")}
			e.Off = rapid.Int64Range(0, math.MaxInt64-e.Len).Draw(t, "off")
			e.Skip = rapid.Int64Range(0, MaxRecord-e.Len).Draw(t, "skip")
			return e
		})).Draw(t, "extents")
		got, err := DecodeExtents(EncodeExtents(es))
		require.NoError(t, err)
		require.ElementsMatch(t, es, got)
	})
	var row []Extent
	for i := range int64(1024) {
		row = append(row, Extent{Off: i * 4096, Len: 4096, Seg: 1 << 62, Pos: (i * 7919 % 15000) * 4416})
	}
	require.Less(t, len(EncodeExtents(row)), 10*1024)
	for n := range EncodeExtents(row[:3]) {
		_, err := DecodeExtents(EncodeExtents(row[:3])[:n])
		require.ErrorIs(t, err, ErrExtents)
	}
	_, err := DecodeExtents(append(EncodeExtents(row), 0))
	require.ErrorIs(t, err, ErrExtents)
}

func FuzzDecodeExtents(f *testing.F) {
	f.Add(EncodeExtents(nil))
	f.Add(EncodeExtents([]Extent{ext(5, 6, 7, 8), ext(4096, 100, 640, 0)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		es, err := DecodeExtents(b)
		if err != nil {
			require.ErrorIs(t, err, ErrExtents)
			return
		}
		var m Map
		m.Insert(es...)
		if len(es) < 1000 {
			m.checkInvariants(t)
		}
		again, err := DecodeExtents(EncodeExtents(es))
		require.NoError(t, err)
		require.Equal(t, es, again)
	})
}
