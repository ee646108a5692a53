package staging

import (
	"cmp"
	"slices"
)

// recordCost is what a record takes beside its data, about: boxes, owner and
// padding. It keeps segments of very small records from being rewritten for
// nothing.
const recordCost = 256

// Wasteful lists full segments of which less than half is live, those with the
// least live bytes first, as many as together have half a segment of them;
// none while the whole store takes less than twice what is live and a segment.
// Who stores what is live in them anew (a Mover) has them unlinked. Those that
// skip tells of are left out.
func (s *Store) Wasteful(skip func(id uint64) bool) (ids []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var disk, live int64
	var found []*segment
	for _, seg := range s.segments {
		needed := seg.live + recordCost*int64(len(seg.refs))
		disk, live = disk+seg.disk, live+needed
		if !seg.current && !seg.pinned && seg.bad == nil && len(seg.refs) > 0 && 2*needed < seg.disk && !skip(seg.id) {
			found = append(found, seg)
		}
	}
	if disk <= 2*live+s.limit {
		return nil
	}
	slices.SortFunc(found, func(a, b *segment) int { return cmp.Compare(a.live, b.live) })
	room := s.limit / 2
	for _, seg := range found {
		if room < 0 {
			break
		}
		ids = append(ids, seg.id)
		room -= seg.live
	}
	return ids
}

// Rolled gives a value after a new segment was begun: the moment to look for
// wasteful ones. It is for one receiver.
func (s *Store) Rolled() <-chan struct{} { return s.rolled }

// A Mover stores records once more, in the current segment, so that the one
// that they are in can go. It remembers which records that several extents
// share it has moved. It isn't safe for concurrent use.
type Mover struct {
	s      *Store
	shared map[recordKey]Extent // whole copies, retained
}

// NewMover makes a Mover; Close ends it.
func (s *Store) NewMover() *Mover { return &Mover{s: s, shared: map[recordKey]Extent{}} }

// Close gives back what was retained for extents still to come.
func (m *Mover) Close() {
	for _, e := range m.shared {
		m.s.Release(e)
	}
}

// Move stores the bytes of an extent once more and gives the extent that may
// take its place, retained. The new record says of whom and when it is as the
// old one does, so that to Salvage it is the same. Of a record that several
// extents share, all that any may need is moved, once. Errors: those of ReadAt and
// Append.
func (m *Mover) Move(e Extent) (Extent, error) {
	size := m.s.sharedSize(e)
	if size == 0 {
		return m.s.copyRecord(e)
	}
	key := recordKey{e.Seg, e.Pos}
	whole, ok := m.shared[key]
	if !ok || whole.Len < e.Skip+e.Len {
		moved, err := m.s.copyRecord(Extent{Off: e.Off - e.Off%MaxRecord, Len: max(size, e.Skip+e.Len), Seg: e.Seg, Pos: e.Pos})
		if err != nil {
			return Extent{}, err
		}
		m.s.Release(whole) // an earlier, shorter copy; nothing happens to the empty one
		m.shared[key], whole = moved, moved
	}
	e.Seg, e.Pos = whole.Seg, whole.Pos
	m.s.Retain(e)
	return e, nil
}

// sharedSize tells how much of its record is known to be in use, if that is
// referred to more than once; else 0.
func (s *Store) sharedSize(e Extent) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg, ok := s.segments[e.Seg]
	if !ok {
		return 0
	}
	if r := seg.refs[e.Pos]; r.bytes > r.size {
		return r.size
	}
	return 0
}

// copyRecord stores the part of a record that an extent names as a record of
// its own, with the owner and the stamp of the old one.
func (s *Store) copyRecord(e Extent) (Extent, error) {
	o, h, data, err := s.readWhole(e)
	if err != nil {
		return Extent{}, corruptAt(err, e)
	}
	data = data[e.Skip : e.Skip+e.Len]
	h.off, h.length, h.owner = h.off+e.Skip, len(data), ownerSize(o, len(data))
	seg, pos, _, err := s.reserve(int64(h.span()), 0)
	if err != nil {
		return Extent{}, err
	}
	e.Seg, e.Pos, e.Skip = seg.id, pos, 0
	return e, s.writeRecord(seg, pos, h, o, data, e)
}

// readWhole reads the record of an extent, all three boxes.
func (s *Store) readWhole(e Extent) (o Owner, h head, data []byte, err error) {
	seg, f, err := s.acquire(e.Seg)
	if err != nil {
		return o, h, nil, err
	}
	defer s.leave(seg)
	raw, h, err := readRecord(f, seg, e.Pos, e.Skip+e.Len)
	if err != nil {
		return o, h, nil, err
	}
	defer putBuffer(raw)
	if e.Skip+e.Len > int64(h.length) {
		return o, h, nil, ErrBounds
	}
	if o, err = openOwner(raw.b, seg.gcm, &raw.nonce, e.Pos, h); err != nil {
		return o, h, nil, err
	}
	data, err = openData(make([]byte, 0, h.length), raw.b, seg.gcm, &raw.nonce, e.Pos, h)
	return o, h, data, err
}

// writeRecord seals one record into the place that was reserved for it.
func (s *Store) writeRecord(seg *segment, pos int64, h head, o Owner, data []byte, e Extent) error {
	buf := getBuffer(h.span())
	defer putBuffer(buf)
	sealRecord(buf.b, seg.gcm, &buf.nonce, pos, h, o, data)
	return s.put(seg, pos, buf.b, []Extent{e})
}
