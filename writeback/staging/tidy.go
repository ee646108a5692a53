package staging

// When a block of a file counts as crumbled.
const (
	tidyBlock  = MaxRecord // aligned
	crumb      = 2 << 10   // an extent below this is a crumb
	tidyCount  = 64        // extents in the block
	tidyRun    = 32        // crumbs in a row
	tidyAlways = 256       // extents in the block, of any size
)

// Tidy keeps a program that writes a few bytes at a time from making millions
// of extents: where the blocks (128 KiB) that hold [off, off+n) have crumbled,
// runs of small extents are read and appended once more as one record, and the
// map takes its bytes from there. It is called after each Insert, costs
// nothing while there is nothing to do, and writes on average about as much
// again as the crumbs hold. Returned is what the map dropped, to be released
// as ever. An error leaves the map right, only crumbled, and may be ignored
// unless it is a *CorruptError, which tells of lost bytes early.
func (s *Store) Tidy(o Owner, m *Map, off, n int64) (dropped []Extent, err error) {
	if n <= 0 || off < 0 {
		return nil, nil
	}
	end := off + n
	for at := off - off%tidyBlock; at < end && at >= 0; at += tidyBlock {
		for _, run := range m.crumbled(at) {
			es, err := s.joinRun(o, run)
			if err != nil {
				return dropped, err
			}
			dropped = append(dropped, m.Insert(es...)...)
		}
	}
	return dropped, nil
}

// joinRun appends what a run of extents, each beginning where the one before
// it ends, holds.
func (s *Store) joinRun(o Owner, run []Extent) ([]Extent, error) {
	buf := getBuffer(int(total(run)))
	defer putBuffer(buf)
	at := buf.b
	for _, e := range run {
		if err := s.ReadAt(e, at[:e.Len], 0); err != nil {
			return nil, err
		}
		at = at[e.Len:]
	}
	return s.Append(o, run[0].Off, buf.b)
}

// crumbled lists the runs of extents of the block at off that should become
// one extent each.
func (m *Map) crumbled(off int64) [][]Extent {
	r, ok := m.regions[Region(off)]
	if !ok {
		return nil
	}
	i, j := r.overlap(off, off+tidyBlock)
	// Looking is not free: not at every count, but at two in a row, since a
	// write into the middle of an extent makes two more.
	if j-i < tidyCount || (j-i)%16 > 1 {
		return nil
	}
	es := m.cut(off, off+tidyBlock)
	if found := runs(es, tidyRun, crumb); len(found) > 0 || len(es) < tidyAlways {
		return found
	}
	return runs(es, 2, tidyBlock+1)
}

// runs finds stretches of at least count extents without gaps, all of them
// shorter than limit.
func runs(es []Extent, count int, limit int64) (found [][]Extent) {
	for i := 0; i < len(es); {
		j := i
		for j < len(es) && es[j].Len < limit && (j == i || es[j].Off == es[j-1].End()) {
			j++
		}
		if j-i >= count {
			found = append(found, es[i:j])
		}
		i = max(j, i+1)
	}
	return found
}
