package staging

import (
	"cmp"
	"crypto/cipher"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Salvage reads all that the segments in dir hold, without any database: for
// when there is none any more. It calls fn for each record, in the order in
// which they were written, so that laying them over each other gives the last
// content that was staged; what was superseded, and what was uploaded but not
// yet unlinked, comes too, and truncations are not known here. data is valid
// during the call only. It changes nothing in dir, and works beside an open
// store.
//
// What is damaged is skipped; at the end its *CorruptErrors (and *NewerErrors)
// come back joined. Where only a record's owner is damaged, its bytes come with
// the inode's number alone. An error of fn ends it at once and is returned as
// it is.
func Salvage(dir string, key [32]byte, fn func(o Owner, off int64, data []byte) error) error {
	found, err := listSegments(dir)
	if err != nil {
		return err
	}
	wrap := newWrapper(key)
	var damage []error
	var todo []salvaged
	segments := make(map[uint64]*salvageSegment)
	for _, f := range found {
		seg := &salvageSegment{id: f.id, path: filepath.Join(dir, segmentName(f.id))}
		segments[f.id] = seg
		err := seg.scan(wrap, func(pos int64, h head) {
			todo = append(todo, salvaged{stamp: h.stamp, seg: f.id, pos: pos})
		})
		damage = append(damage, err)
	}
	slices.SortFunc(todo, func(a, b salvaged) int {
		return cmp.Or(cmp.Compare(a.stamp, b.stamp), cmp.Compare(a.seg, b.seg), cmp.Compare(a.pos, b.pos))
	})
	r := &salvageReader{segments: segments}
	defer r.close()
	for _, rec := range todo {
		o, off, data, err := r.read(rec)
		if err != nil {
			damage = append(damage, corruptAt(err, Extent{Seg: rec.seg, Pos: rec.pos}))
		}
		if data == nil {
			continue
		}
		if err := fn(o, off, data); err != nil {
			return err
		}
	}
	return errors.Join(damage...)
}

// salvaged is one record that was found.
type salvaged struct {
	stamp int64
	seg   uint64
	pos   int64
}

// salvageSegment is a segment as Salvage knows it.
type salvageSegment struct {
	id   uint64
	path string
	gcm  cipher.AEAD
}

// scan lists a segment's records.
func (g *salvageSegment) scan(wrap cipher.AEAD, visit func(pos int64, h head)) error {
	f, err := os.Open(g.path)
	if err != nil {
		return fmt.Errorf("opening segment %016x: %w", g.id, err)
	}
	defer f.Close()
	g.gcm, err = scan(f, g.id, wrap, visit)
	return err
}

// salvageReader reads records here and there, and keeps one file open.
type salvageReader struct {
	segments map[uint64]*salvageSegment
	seg      uint64
	file     *os.File
	data     []byte
}

func (r *salvageReader) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

// read reads one record; data is valid until the next call. There may be data
// beside an error, when only the owner is damaged.
func (r *salvageReader) read(rec salvaged) (o Owner, off int64, data []byte, err error) {
	g := r.segments[rec.seg]
	if r.file == nil || r.seg != rec.seg {
		r.close()
		if r.file, err = os.Open(g.path); err != nil {
			return Owner{}, 0, nil, fmt.Errorf("opening segment %016x: %w", rec.seg, err)
		}
		r.seg = rec.seg
	}
	raw, h, err := readRecord(r.file, &segment{id: g.id, gcm: g.gcm}, rec.pos, MaxRecord)
	if err != nil {
		return Owner{}, 0, nil, err
	}
	defer putBuffer(raw)
	if r.data, err = openData(r.data[:0], raw.b, g.gcm, &raw.nonce, rec.pos, h); err != nil {
		return Owner{}, 0, nil, err
	}
	if o, err = openOwner(raw.b, g.gcm, &raw.nonce, rec.pos, h); err != nil {
		o = Owner{Ino: h.ino}
	}
	return o, h.off, r.data, err
}
