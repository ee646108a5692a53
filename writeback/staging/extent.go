package staging

import (
	"fmt"
	"math"
)

// MaxRecord is the most plaintext, in bytes, that one record holds. Append
// cuts at its multiples (of the file's offset), so that a record lines up with
// the reads and the overwrites that will come.
const MaxRecord = 128 << 10

// RegionSize is the part of a file, in bytes, that one region of a Map covers.
// A region is what the database keeps in one row.
const RegionSize = 4 << 20

// Region is the number of the region that holds a file's offset.
func Region(off int64) uint64 { return uint64(off) / RegionSize }

// Extent says that Len bytes of a file, from Off on, are found in the record
// that begins at Pos in segment Seg, after the first Skip bytes of its
// plaintext. It never crosses the border of a region.
type Extent struct {
	Off  int64  `cbor:"1,keyasint,omitempty"` // in the file, bytes
	Len  int64  `cbor:"2,keyasint"`           // bytes, above 0
	Seg  uint64 `cbor:"3,keyasint"`           // the segment's number
	Pos  int64  `cbor:"4,keyasint"`           // where the record starts in the segment, bytes
	Skip int64  `cbor:"5,keyasint,omitempty"` // bytes of the record's plaintext before this extent
}

// End is the offset in the file after the extent's last byte.
func (e Extent) End() int64 { return e.Off + e.Len }

// Cut is the part of the extent that lies in [from, to) of the file; the
// two must lie in the extent.
func (e Extent) Cut(from, to int64) Extent {
	e.Skip += from - e.Off
	e.Off, e.Len = from, to-from
	return e
}

// sameRecord tells whether both take their bytes from one record, and each
// byte of the file from the same byte of it.
func (e Extent) sameRecord(o Extent) bool {
	return e.Seg == o.Seg && e.Pos == o.Pos && e.Off-e.Skip == o.Off-o.Skip
}

// joins tells whether o goes on where e ends, in the file and in the record.
func (e Extent) joins(o Extent) bool { return e.End() == o.Off && e.sameRecord(o) }

// check says what is wrong with an extent that came from outside.
func (e Extent) check() error {
	switch {
	case e.Len <= 0 || e.Len > MaxRecord:
		return fmt.Errorf("extent of %d bytes", e.Len)
	case e.Off < 0 || e.Off > math.MaxInt64-e.Len:
		return fmt.Errorf("extent at offset %d", e.Off)
	case e.Skip < 0 || e.Skip > MaxRecord-e.Len:
		return fmt.Errorf("extent skips %d bytes of its record", e.Skip)
	case e.Pos < 0:
		return fmt.Errorf("extent at position %d of its segment", e.Pos)
	}
	return nil
}

// Piece is a stretch of a file: staged when Extent isn't nil, and then exactly
// that extent's bytes (it is cut to the piece, so that reading the piece is
// Store.ReadAt(*piece.Extent, p, 0)); otherwise a hole in the Map, whose bytes
// come from elsewhere.
type Piece struct {
	Off, Len int64 // in the file, bytes
	Extent   *Extent
}

// Owner says whose bytes a record holds. It goes into the record, sealed, so
// that Salvage can tell without the database.
type Owner struct {
	Ino  uint64 // the inode's number
	Path string // where it was when the bytes were written; the last 32 KiB of it are kept
	Base string // what the bytes were laid over, in the caller's words; at most 16 KiB
}
