package writeback

import (
	"context"
	"fmt"
	"io"

	"megadisk/cache"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// baseID tells one base from another; its limit isn't part of it.
type baseID struct {
	handle string
	key    string
	size   int64
}

func idOfBase(b tree.Base) baseID {
	return baseID{string(b.Handle), string(b.Key), b.Size}
}

// cacheFile names a base to the cache.
func cacheFile(b tree.Base) (cache.File, error) {
	key, err := megacrypto.UnpackFileKey(b.Key)
	if err != nil {
		return cache.File{}, fmt.Errorf("key of the version in the cloud: %w", err)
	}
	return cache.File{Handle: string(b.Handle), Key: key, Size: b.Size}, nil
}

// view is a stretch of a file at one moment: what it consists of.
type view struct {
	pieces []staging.Piece
	base   tree.Base
	n      int64 // bytes up to the end of the file
	eof    bool  // the stretch reaches it
}

// viewLocked takes a view; its extents are retained until releaseView. Its pieces are in room, if that is large enough.
func (e *Engine) viewLocked(st *fileState, off, n int64, room []staging.Piece) view {
	v := view{base: st.base}
	if off >= st.size {
		v.eof = true
		return v
	}
	v.n = min(n, st.size-off)
	v.eof = v.n < n
	v.pieces = st.m.AppendPieces(room, off, v.n)
	for _, p := range v.pieces {
		if p.Extent != nil {
			e.staging.Retain(*p.Extent)
		}
	}
	return v
}

func (e *Engine) releaseView(v view) {
	for _, p := range v.pieces {
		if p.Extent != nil {
			e.staging.Release(*p.Extent)
		}
	}
}

// ReadAt reads like io.ReaderAt: fewer bytes than asked for only with an
// error, io.EOF at the end of the file. Bytes that are nowhere here are
// fetched; ctx interrupts that.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, tree.ErrInvalid
	}
	f.st.mu.Lock()
	var room [1]staging.Piece                                                // enough where nothing was written
	v, base := f.e.viewLocked(f.st, off, int64(len(p)), room[:0]), f.st.base // not v.base: room would go to the heap with it
	f.st.mu.Unlock()
	defer f.e.releaseView(v)
	n, err := f.e.readPieces(ctx, v.pieces, base, off, p, f.reader)
	if err == nil && v.eof {
		err = io.EOF
	}
	return n, err
}

// Lend is ReadAt without a copy, for n bytes at off of which all that the file
// has are of the version in the cloud, and in memory. A nil loan without an
// error says that ReadAt must do.
func (f *File) Lend(ctx context.Context, off, n int64) (*cache.Loan, error) {
	f.st.mu.Lock()
	var room [1]staging.Piece
	v, base := f.e.viewLocked(f.st, off, n, room[:0]), f.st.base
	f.st.mu.Unlock()
	defer f.e.releaseView(v)
	if len(v.pieces) != 1 || v.pieces[0].Extent != nil || base.Handle == "" || off+v.n > base.Limit {
		return nil, nil
	}
	r, err := f.reader(base)
	if err != nil {
		return nil, err
	}
	loan, err := r.Lend(ctx, off, v.n)
	if err != nil {
		return nil, fmt.Errorf("reading the version in the cloud: %w", err)
	}
	if loan != nil && int64(loan.Len()) < v.n {
		loan.Release()
		return nil, nil
	}
	return loan, nil
}

// reader gives the handle's reader of a base.
func (f *File) reader(b tree.Base) (*cache.Reader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if r := f.readers[idOfBase(b)]; r != nil {
		return r, nil
	}
	file, err := cacheFile(b)
	if err != nil {
		return nil, err
	}
	r := f.e.cache.NewReaderSince(file, f.mismatches)
	f.readers[idOfBase(b)] = r
	return r, nil
}

// readPieces composes a stretch from staged bytes, the base, and zeros. It
// returns how many bytes were read before an error.
func (e *Engine) readPieces(ctx context.Context, pieces []staging.Piece, base tree.Base, off int64, p []byte,
	reader func(tree.Base) (*cache.Reader, error)) (int, error) {
	done := 0
	for _, piece := range pieces {
		buf := p[piece.Off-off : piece.Off-off+piece.Len]
		if err := e.readPiece(ctx, piece, base, buf, reader); err != nil {
			return done, err
		}
		done += len(buf)
	}
	return done, nil
}

func (e *Engine) readPiece(ctx context.Context, piece staging.Piece, base tree.Base, buf []byte,
	reader func(tree.Base) (*cache.Reader, error)) error {
	if piece.Extent != nil {
		if err := e.staging.ReadAt(*piece.Extent, buf, 0); err != nil {
			return fmt.Errorf("reading staged bytes: %w", err)
		}
		return nil
	}
	held := int64(0) // bytes of the base that are still part of the file
	if base.Handle != "" {
		held = max(0, min(piece.Len, base.Limit-piece.Off))
	}
	clear(buf[held:])
	if held == 0 {
		return nil
	}
	r, err := reader(base)
	if err != nil {
		return err
	}
	n, err := r.ReadAt(ctx, buf[:held], piece.Off)
	if err == io.EOF && int64(n) == held {
		err = nil
	}
	if err == io.EOF {
		return fmt.Errorf("reading the version in the cloud: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return fmt.Errorf("reading the version in the cloud: %w", err)
	}
	return nil
}
