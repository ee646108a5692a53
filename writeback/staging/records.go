package staging

import (
	"cmp"
	"slices"
)

// Record is one record of a segment, live or not.
type Record struct {
	Ino    uint64
	Extent Extent // all of it, as the file that it was written for had it
	stamp  int64
}

// Records lists the records of some files that the segments hold, also those
// that nothing refers to, in the order in which they were written. They are not
// verified; what is damaged is left out. It is for before Started: later such
// records go with their segments.
func (s *Store) Records(of func(ino uint64) bool) (list []Record) {
	s.mu.Lock()
	ids := make([]uint64, 0, len(s.segments))
	for id := range s.segments {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		seg, f, err := s.acquire(id)
		if err != nil {
			continue
		}
		_, _ = scan(f, id, s.wrap, func(pos int64, h head) {
			if of(h.ino) {
				e := Extent{Off: h.off, Len: int64(h.length), Seg: id, Pos: pos}
				list = append(list, Record{Ino: h.ino, Extent: e, stamp: h.stamp})
			}
		})
		s.leave(seg)
	}
	slices.SortFunc(list, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.stamp, b.stamp), cmp.Compare(a.Extent.Seg, b.Extent.Seg), cmp.Compare(a.Extent.Pos, b.Extent.Pos))
	})
	return list
}

// Owner verifies the record of an extent and tells whose it is. Errors: those
// of ReadAt.
func (s *Store) Owner(e Extent) (Owner, error) {
	o, _, _, err := s.readWhole(e)
	if err != nil {
		return Owner{}, corruptAt(err, e)
	}
	return o, nil
}
