package staging

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by a store that has been closed.
	ErrClosed = errors.New("staging is closed")
	// ErrRange is returned for a write that begins before 0 or ends beyond 2^63-1.
	ErrRange = errors.New("offset out of range")
	// ErrOwner is returned for an Owner whose Base is too long.
	ErrOwner = errors.New("owner too long")
	// ErrExtents is returned for a list of extents that no Map can hold.
	ErrExtents = errors.New("malformed extents")
)

// Causes inside a *CorruptError.
var (
	// ErrMissing: the segment's file isn't there.
	ErrMissing = errors.New("segment is missing")
	// ErrHeader: what stands at the start of the file is not the header of this segment.
	ErrHeader = errors.New("segment header is damaged")
	// ErrKey: the header doesn't open; it is damaged, or the key is another one.
	ErrKey = errors.New("segment header doesn't open with this key")
	// ErrTorn: the file ends inside the record.
	ErrTorn = errors.New("record is cut short")
	// ErrSeal: the bytes aren't the ones that were written.
	ErrSeal = errors.New("record doesn't verify")
	// ErrBounds: the extent asks for bytes that the record doesn't have.
	ErrBounds = errors.New("extent exceeds its record")
)

// CorruptError says that staged bytes can't be had any more: they were
// damaged, torn by a loss of power, or their segment is gone.
type CorruptError struct {
	Seg uint64 // the segment
	Pos int64  // in the segment, bytes: where the record starts; 0 is the segment's header
	Err error  // the cause
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("staged record at %d of segment %016x: %v", e.Pos, e.Seg, e.Err)
}

// Unwrap gives the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// NewerError says that a segment was written by a later version of the format.
type NewerError struct {
	Seg     uint64
	Version uint16
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("segment %016x has format version %d; this program knows up to %d", e.Seg, e.Version, formatVersion)
}

// corruptAt makes the causes of corruption a *CorruptError that names the
// extent's record; other errors stay as they are.
func corruptAt(err error, e Extent) error {
	for _, cause := range []error{ErrMissing, ErrHeader, ErrKey, ErrTorn, ErrSeal, ErrBounds} {
		if errors.Is(err, cause) {
			var already *CorruptError
			if errors.As(err, &already) {
				err = already.Err
			}
			return &CorruptError{Seg: e.Seg, Pos: e.Pos, Err: err}
		}
	}
	return err
}
