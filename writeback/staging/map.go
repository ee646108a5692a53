package staging

import (
	"math"
	"slices"
	"sort"
)

// Map says which bytes of one file come from where. It is a pure value: its
// zero value is an empty map, it does no I/O and locks nothing.
//
// References. A reference to a record is counted in bytes: an extent refers
// to Len bytes of its record. So cutting and splitting extents makes or loses
// no reference, and what Insert, Truncate and Remove return is, to the byte,
// what the map referred to before and doesn't any more. In other words, for
// each record: bytes before + bytes inserted = bytes after + bytes dropped.
type Map struct {
	regions map[uint64]*region
	order   []uint64 // the keys of regions, sorted
	bytes   int64    // staged
	count   int      // extents
}

// region holds the extents of RegionSize bytes of the file.
//
// INVARIANT: sorted by Off, not overlapping, inside the region, and no two
// neighbours that join.
type region struct {
	es     []Extent
	shared bool // es is seen from outside or by a clone: copy before changing it
	dirty  bool
}

// Insert lays extents over the file, the later over the earlier ones. It
// returns what they hide, in the order in which it was hidden: whole extents
// or parts of them, for Store.Release once the map is stored without them.
// Empty extents are ignored; one that crosses regions is split.
func (m *Map) Insert(es ...Extent) (dropped []Extent) {
	for _, e := range es {
		if e.Len <= 0 || e.Off < 0 || e.Off > math.MaxInt64-e.Len {
			continue
		}
		for rest := e; rest.Len > 0; {
			part := rest
			if border := regionEnd(Region(rest.Off)); rest.End() > border {
				part = rest.Cut(rest.Off, border)
			}
			dropped = m.insert(part, dropped)
			rest = rest.Cut(part.End(), rest.End())
		}
	}
	return dropped
}

// insert lays one extent over its region.
func (m *Map) insert(e Extent, dropped []Extent) []Extent {
	r := m.touch(Region(e.Off))
	i, j := r.overlap(e.Off, e.End())
	for _, o := range r.es[i:j] {
		dropped = append(dropped, o.Cut(max(o.Off, e.Off), min(o.End(), e.End())))
	}
	m.splice(r, i, j, e.Off, e.End(), &e)
	return dropped
}

// splice puts e, or a hole if it is nil, in the place of [from, to), which the
// extents es[i:j] overlap; what of them sticks out on both sides stays.
func (m *Map) splice(r *region, i, j int, from, to int64, e *Extent) {
	var buf [5]Extent
	repl := buf[:0]
	if i > 0 {
		i-- // the neighbours take part, for joining
		repl = append(repl, r.es[i])
	}
	core := i + len(repl)
	if core < j {
		if o := r.es[core]; o.Off < from {
			repl = join(repl, o.Cut(o.Off, from))
		}
	}
	if e != nil {
		repl = join(repl, *e)
	}
	if core < j {
		if o := r.es[j-1]; o.End() > to {
			repl = join(repl, o.Cut(to, o.End()))
		}
	}
	if j < len(r.es) {
		repl = join(repl, r.es[j])
		j++
	}
	m.count += len(repl) - (j - i)
	m.bytes += total(repl) - total(r.es[i:j])
	if r.shared {
		r.es = append(make([]Extent, 0, len(r.es)+len(repl)+len(r.es)/4), r.es...)
		r.shared = false
	}
	r.es = slices.Replace(r.es, i, j, repl...)
	r.dirty = true
}

// join appends e, or lengthens the last extent if e goes on from there.
func join(es []Extent, e Extent) []Extent {
	if n := len(es); n > 0 && es[n-1].joins(e) {
		es[n-1].Len += e.Len
		return es
	}
	return append(es, e)
}

// Truncate drops what lies at size and beyond, and returns it.
func (m *Map) Truncate(size int64) (dropped []Extent) {
	return m.Punch(max(size, 0), math.MaxInt64)
}

// Punch drops what lies in [from, to), and returns it.
func (m *Map) Punch(from, to int64) (dropped []Extent) {
	from = max(from, 0)
	if from >= to {
		return nil
	}
	for _, id := range m.within(from, to) {
		r := m.regions[id]
		i, j := r.overlap(from, to)
		if i == j {
			continue
		}
		for _, o := range r.es[i:j] {
			dropped = append(dropped, o.Cut(max(o.Off, from), min(o.End(), to)))
		}
		m.splice(r, i, j, from, to, nil)
	}
	return dropped
}

// Remove takes out those bytes of es that the map still takes from the very
// place that es says: what was laid over them since stays. It returns what was
// taken out. This is how staged bytes leave after their upload.
func (m *Map) Remove(es []Extent) (dropped []Extent) {
	for _, e := range es {
		if e.Len <= 0 {
			continue
		}
		for _, id := range m.within(e.Off, e.End()) {
			dropped = m.replace(m.regions[id], e, nil, dropped)
		}
	}
	return dropped
}

// Swap lets the map take from by what it still takes from e; the two are as
// long and say the same bytes of the file. It returns what it doesn't take from
// e any more: as many bytes as it takes from by now.
func (m *Map) Swap(e, by Extent) (dropped []Extent) {
	for _, id := range m.within(e.Off, e.End()) {
		dropped = m.replace(m.regions[id], e, &by, dropped)
	}
	return dropped
}

// replace puts by, or a hole if it is nil, in the place of one extent in one
// region.
func (m *Map) replace(r *region, e Extent, by *Extent, dropped []Extent) []Extent {
	for from := e.Off; from < e.End(); {
		i, _ := r.overlap(from, e.End())
		if i == len(r.es) || r.es[i].Off >= e.End() {
			return dropped
		}
		o := r.es[i]
		cut := o.Cut(max(o.Off, from), min(o.End(), e.End()))
		from = cut.End()
		if o.sameRecord(e) {
			dropped = append(dropped, cut)
			var now *Extent
			if by != nil {
				part := by.Cut(cut.Off, cut.End())
				now = &part
			}
			m.splice(r, i, i+1, cut.Off, cut.End(), now)
		}
	}
	return dropped
}

// overlap finds the extents es[i:j] that have bytes in [from, to); with none,
// i = j is where one would stand.
func (r *region) overlap(from, to int64) (i, j int) {
	i = sort.Search(len(r.es), func(k int) bool { return r.es[k].End() > from })
	j = i + sort.Search(len(r.es)-i, func(k int) bool { return r.es[i+k].Off >= to })
	return i, j
}

// touch gives a region, making it if need be.
func (m *Map) touch(id uint64) *region {
	if r, ok := m.regions[id]; ok {
		return r
	}
	if m.regions == nil {
		m.regions = make(map[uint64]*region)
	}
	r := &region{}
	m.regions[id] = r
	i, _ := slices.BinarySearch(m.order, id)
	m.order = slices.Insert(m.order, i, id)
	return r
}

// within lists the regions that exist and have bytes in [from, to).
func (m *Map) within(from, to int64) []uint64 {
	if from < 0 || from >= to {
		return nil
	}
	i, _ := slices.BinarySearch(m.order, Region(from))
	j, _ := slices.BinarySearch(m.order, Region(to-1)+1)
	return m.order[i:j]
}

// regionEnd is the offset after a region's last byte.
func regionEnd(id uint64) int64 {
	if id >= math.MaxInt64/RegionSize {
		return math.MaxInt64
	}
	return int64(id+1) * RegionSize
}

// total is the sum of lengths.
func total(es []Extent) (n int64) {
	for _, e := range es {
		n += e.Len
	}
	return n
}
