package staging

import (
	"fmt"
	"math"
	"slices"
)

// Pieces tells, for the n bytes from off on, which are staged and where: in
// order, without gaps, covering [off, off+n) exactly. Neighbouring holes are
// one piece.
func (m *Map) Pieces(off, n int64) []Piece { return m.AppendPieces(nil, off, n) }

// AppendPieces is Pieces behind what is in pieces.
func (m *Map) AppendPieces(pieces []Piece, off, n int64) []Piece {
	if n <= 0 || off < 0 {
		return pieces
	}
	end := off + min(n, math.MaxInt64-off)
	found := m.cut(off, end)
	pieces = slices.Grow(pieces, 2*len(found)+1)
	at := off
	for i := range found {
		e := &found[i]
		if e.Off > at {
			pieces = append(pieces, Piece{Off: at, Len: e.Off - at})
		}
		pieces = append(pieces, Piece{Off: e.Off, Len: e.Len, Extent: e})
		at = e.End()
	}
	if at < end {
		pieces = append(pieces, Piece{Off: at, Len: end - at})
	}
	return pieces
}

// cut lists the extents in [from, to), cut to it.
func (m *Map) cut(from, to int64) (es []Extent) {
	for _, id := range m.within(from, to) {
		r := m.regions[id]
		i, j := r.overlap(from, to)
		for _, e := range r.es[i:j] {
			es = append(es, e.Cut(max(e.Off, from), min(e.End(), to)))
		}
	}
	return es
}

// Extents lists all, in order of Off. The slice is the caller's.
func (m *Map) Extents() []Extent {
	es := make([]Extent, 0, m.count)
	for _, id := range m.order {
		es = append(es, m.regions[id].es...)
	}
	return es
}

// Bytes is how many bytes of the file are staged.
func (m *Map) Bytes() int64 { return m.bytes }

// Len is the number of extents.
func (m *Map) Len() int { return m.count }

// End is the offset after the last staged byte, 0 with none.
func (m *Map) End() int64 {
	for i := len(m.order) - 1; i >= 0; i-- {
		if es := m.regions[m.order[i]].es; len(es) > 0 {
			return es[len(es)-1].End()
		}
	}
	return 0
}

// Clone is an independent copy, for a frozen generation. It is cheap: a region
// is copied only when one of the two changes it. The copy's regions are all
// clean. References aren't counted by a Map: retain the copy's extents.
func (m *Map) Clone() *Map {
	c := &Map{
		regions: make(map[uint64]*region, len(m.regions)),
		bytes:   m.bytes, count: m.count,
	}
	for _, id := range m.order {
		r := m.regions[id]
		if len(r.es) == 0 {
			continue
		}
		r.shared = true
		c.regions[id] = &region{es: r.es, shared: true}
		c.order = append(c.order, id)
	}
	return c
}

// Region lists the extents of one region, in order; nil with none. The slice
// stays as it is whatever happens to the map, and must not be changed.
func (m *Map) Region(id uint64) []Extent {
	r, ok := m.regions[id]
	if !ok || len(r.es) == 0 {
		return nil
	}
	r.shared = true
	return slices.Clip(r.es)
}

// Regions lists the regions that hold extents, in order.
func (m *Map) Regions() []uint64 {
	var ids []uint64
	for _, id := range m.order {
		if len(m.regions[id].es) > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// SetRegion puts in one region's extents, as Region gave them, when a map is
// loaded; the region counts as clean. Extents that don't belong there, that
// overlap or are out of order are refused with ErrExtents, and the region
// stays as it was.
func (m *Map) SetRegion(id uint64, es []Extent) error {
	var own []Extent
	for i, e := range es {
		if err := e.check(); err != nil {
			return fmt.Errorf("%w: %v", ErrExtents, err)
		}
		if Region(e.Off) != id || Region(e.End()-1) != id {
			return fmt.Errorf("%w: extent outside of region %d", ErrExtents, id)
		}
		if i > 0 && e.Off < es[i-1].End() {
			return fmt.Errorf("%w: extents overlap in region %d", ErrExtents, id)
		}
		own = join(own, e)
	}
	r := m.touch(id)
	m.count += len(own) - len(r.es)
	m.bytes += total(own) - total(r.es)
	r.es, r.shared, r.dirty = own, false, false
	m.forgetEmpty(id)
	return nil
}

// DirtyRegions lists, in order, the regions that changed since they were
// loaded or cleared. One without extents has no row any more.
func (m *Map) DirtyRegions() []uint64 {
	var ids []uint64
	for _, id := range m.order {
		if m.regions[id].dirty {
			ids = append(ids, id)
		}
	}
	return ids
}

// ClearDirty says that all regions are stored.
func (m *Map) ClearDirty() { m.ClearRegions(m.DirtyRegions()) }

// ClearRegions says that these regions are stored, and no others.
func (m *Map) ClearRegions(ids []uint64) {
	for _, id := range ids {
		if r, ok := m.regions[id]; ok {
			r.dirty = false
			m.forgetEmpty(id)
		}
	}
}

// MarkRegions says that these regions are not stored, after a commit that
// failed.
func (m *Map) MarkRegions(ids []uint64) {
	for _, id := range ids {
		m.touch(id).dirty = true
	}
}

// forgetEmpty drops a clean region that has nothing in it.
func (m *Map) forgetEmpty(id uint64) {
	if r, ok := m.regions[id]; !ok || r.dirty || len(r.es) > 0 {
		return
	}
	delete(m.regions, id)
	if i, ok := slices.BinarySearch(m.order, id); ok {
		m.order = slices.Delete(m.order, i, i+1)
	}
}
