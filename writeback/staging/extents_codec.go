package staging

import (
	"encoding/binary"
	"fmt"
	"math"
)

// extentsVersion is the first byte of encoded extents.
const extentsVersion = 1

// EncodeExtents packs a list of extents for a row of the database: about 9
// bytes for each 4 KiB extent, a third of what CBOR takes. FORMAT.md draws it.
func EncodeExtents(es []Extent) []byte {
	b := make([]byte, 0, 16+10*len(es))
	b = append(b, extentsVersion)
	b = binary.AppendUvarint(b, uint64(len(es)))
	var last Extent
	for _, e := range es {
		b = binary.AppendVarint(b, e.Off-last.End())
		b = binary.AppendUvarint(b, uint64(e.Len))
		b = binary.AppendVarint(b, int64(e.Seg-last.Seg))
		b = binary.AppendVarint(b, e.Pos-last.Pos)
		b = binary.AppendUvarint(b, uint64(e.Skip))
		last = e
	}
	return b
}

// DecodeExtents unpacks what EncodeExtents packed. Whatever b holds, it either
// fails with ErrExtents or gives extents that are possible one by one
// (SetRegion checks that they fit together).
func DecodeExtents(b []byte) ([]Extent, error) {
	if len(b) == 0 || b[0] != extentsVersion {
		return nil, fmt.Errorf("%w: unknown version", ErrExtents)
	}
	r := varints{b: b[1:]}
	count := r.unsigned()
	if count > uint64(len(r.b)/5) { // each takes five bytes at least
		return nil, fmt.Errorf("%w: cut short", ErrExtents)
	}
	es := make([]Extent, 0, count)
	var last Extent
	for range count {
		var e Extent
		e.Off = last.End() + r.signed()
		e.Len = r.length()
		e.Seg = last.Seg + uint64(r.signed())
		e.Pos = last.Pos + r.signed()
		e.Skip = r.length()
		if r.bad {
			return nil, fmt.Errorf("%w: cut short", ErrExtents)
		}
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrExtents, err)
		}
		es = append(es, e)
		last = e
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: wrong length", ErrExtents)
	}
	return es, nil
}

// varints reads numbers; bad stays set once one was malformed.
type varints struct {
	b   []byte
	bad bool
}

func (r *varints) unsigned() uint64 {
	v, n := binary.Uvarint(r.b)
	return take(r, v, n)
}

func (r *varints) signed() int64 {
	v, n := binary.Varint(r.b)
	return take(r, v, n)
}

// length reads a number that is never negative.
func (r *varints) length() int64 {
	v := r.unsigned()
	r.bad = r.bad || v > math.MaxInt64
	return int64(v)
}

func take[T any](r *varints, v T, n int) T {
	if n <= 0 {
		r.bad, n = true, 0
	}
	r.b = r.b[n:]
	return v
}
