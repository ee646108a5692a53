package writeback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"megadisk/writeback/staging"
)

// ErrNoData means that a file has no data, or no hole, at or after an offset.
var ErrNoData = errors.New("beyond the end of the data")

// Grow makes the file at least so long; what it is longer by reads as zeros.
// It never makes it shorter, whoever appends at the same time. Errors: those of
// WriteAt.
func (f *File) Grow(ctx context.Context, size int64) error {
	if !f.write {
		return ErrNotWritable
	}
	st := f.st
	st.mu.Lock()
	defer st.mu.Unlock()
	if size <= st.size {
		return nil
	}
	return f.e.resizeLocked(ctx, st, size)
}

// Zero makes n bytes from off on read as zeros, as fallocate's punched holes
// and zeroed ranges do. With grow a range beyond the end makes the file
// longer, otherwise what lies there is left out. Errors: those of WriteAt.
func (f *File) Zero(ctx context.Context, off, n int64, grow bool) error {
	if !f.write {
		return ErrNotWritable
	}
	if err := checkRange(off, n); err != nil {
		return err
	}
	if err := f.e.room(); err != nil {
		return err
	}
	st := f.st
	st.mu.Lock()
	defer st.mu.Unlock()
	to := off + n
	if !grow {
		to = min(to, st.size)
	}
	if off >= to {
		return nil
	}
	if err := f.e.storable(st.ino, max(st.size, to)); err != nil {
		return err
	}
	if err := f.e.markContentLocked(ctx, st); err != nil {
		return err
	}
	if err := f.e.zeroLocked(st, off, to); err != nil {
		return err
	}
	st.size = max(st.size, to)
	f.e.writtenLocked(st)
	return f.e.commitLocked(ctx, st)
}

// writtenLocked notes that content was changed just now.
func (e *Engine) writtenLocked(st *fileState) {
	now := e.now()
	st.changedLocked(now)
	st.lastWrite, st.emptied = now, time.Time{}
	st.dirty, st.content = true, true
}

// zeroLocked makes [from, to) zeros. Where nothing lies below, that is a hole
// in the map; where a version in the cloud does, or one that is on its way
// there and will be the base, either its visible part ends earlier, or zeros
// are laid over it.
func (e *Engine) zeroLocked(st *fileState, from, to int64) error {
	below := int64(0)
	if st.base.Handle != "" {
		below = st.base.Limit
	}
	if st.gen != nil {
		below = max(below, st.gen.limit)
	}
	switch {
	case from >= below:
	case to >= below:
		st.base.Limit = min(st.base.Limit, from)
		if st.gen != nil {
			st.gen.limit = min(st.gen.limit, from)
		}
		st.cut = true
	default:
		return e.layZerosLocked(st, from, to)
	}
	st.garbage = append(st.garbage, st.m.Punch(from, to)...)
	return nil
}

// zeros is the plaintext of what layZerosLocked stages.
var zeros [2 * staging.MaxRecord]byte

// layZerosLocked stages zeros. However long the range is, there is one record,
// of a block that is in it, to which all extents refer.
func (e *Engine) layZerosLocked(st *fileState, from, to int64) error {
	at := (from + staging.MaxRecord - 1) / staging.MaxRecord * staging.MaxRecord
	if at+staging.MaxRecord > to {
		es, err := e.staging.Append(st.owner, from, zeros[:to-from])
		if err != nil {
			return fmt.Errorf("staging zeros: %w", err)
		}
		st.garbage = append(st.garbage, st.m.Insert(es...)...)
		return nil
	}
	block, err := e.staging.Append(st.owner, at, zeros[:staging.MaxRecord])
	if err != nil {
		return fmt.Errorf("staging zeros: %w", err)
	}
	var es []staging.Extent
	for at := from; at < to; {
		end := min(to, (at/staging.MaxRecord+1)*staging.MaxRecord)
		es = append(es, staging.Extent{Off: at, Len: end - at, Seg: block[0].Seg, Pos: block[0].Pos})
		at = end
	}
	e.staging.Retain(es...)
	e.staging.Release(block...)
	st.garbage = append(st.garbage, st.m.Insert(es...)...)
	return nil
}

// FindData finds the next data (or hole) at or after an offset, as SEEK_DATA and
// SEEK_HOLE do. What a version in the cloud holds counts as data, its zeros
// too. The end of the file is a hole. Errors: ErrNoData.
func (f *File) FindData(off int64, hole bool) (int64, error) {
	st := f.st
	st.mu.Lock()
	defer st.mu.Unlock()
	if off < 0 || off >= st.size {
		return 0, ErrNoData
	}
	below := int64(0)
	if st.base.Handle != "" {
		below = st.base.Limit
	}
	for _, p := range st.m.Pieces(off, st.size-off) {
		end := p.Off + p.Len
		data := end // of the piece, what lies before is data
		if p.Extent == nil {
			data = max(p.Off, min(end, below))
		}
		switch {
		case !hole && data > p.Off:
			return p.Off, nil
		case hole && data < end:
			return data, nil
		}
	}
	if !hole {
		return 0, ErrNoData
	}
	return st.size, nil
}
