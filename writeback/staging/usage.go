package staging

import "slices"

// Usage says how much there is.
type Usage struct {
	Live     int64 // plaintext bytes referred to; two maps that share a record may be counted twice, up to its size
	Disk     int64 // bytes of all segments
	Segments int
}

// SegmentUsage is one segment's share, for compaction to choose by.
type SegmentUsage struct {
	Seg     uint64
	Live    int64 // as in Usage
	Disk    int64
	Current bool // still appended to
}

// Usage says how much there is, from memory.
func (s *Store) Usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := Usage{Live: s.live, Segments: len(s.segments)}
	for _, seg := range s.segments {
		u.Disk += seg.disk
	}
	return u
}

// Segments lists the segments in the order in which they were made.
func (s *Store) Segments() []SegmentUsage {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]SegmentUsage, 0, len(s.segments))
	for id, seg := range s.segments {
		list = append(list, SegmentUsage{Seg: id, Live: seg.live, Disk: seg.disk, Current: seg.current})
	}
	slices.SortFunc(list, func(a, b SegmentUsage) int {
		if a.Seg < b.Seg {
			return -1
		}
		return 1
	})
	return list
}
