package staging

import (
	"context"
	"fmt"
	"os"
)

// readAhead is what is read beside an extent's own bytes in the first read of
// its record: head, tags and an owner of usual length.
const readAhead = 512

// ReadAt fills p with the extent's bytes from skip on; all of p must lie in
// the extent. The record is decrypted and checked whole. It doesn't ask for
// the extent to be retained, but only then is it sure to be there. Errors:
// *CorruptError, ErrClosed, and what the disk says.
func (s *Store) ReadAt(e Extent, p []byte, skip int64) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("%w: %v", ErrExtents, err)
	}
	if skip < 0 || skip > e.Len-int64(len(p)) {
		return fmt.Errorf("%w: %d bytes at %d of an extent of %d", ErrExtents, len(p), skip, e.Len)
	}
	if len(p) == 0 {
		return nil
	}
	from := e.Skip + skip
	key := recordKey{e.Seg, e.Pos}
	if plain, ok := s.records.get(key); ok && e.Skip+e.Len <= int64(len(plain)) {
		copy(p, plain[from:])
		return nil
	}
	seg, f, err := s.acquire(e.Seg)
	if err != nil {
		return corruptAt(err, e)
	}
	defer s.leave(seg)
	plain, err := readData(f, seg, e, p, from)
	if err != nil {
		return corruptAt(err, e)
	}
	if plain != nil {
		s.records.add(key, plain)
	}
	return nil
}

// readData reads and opens the record of e and fills p with its bytes from
// from on. The whole plaintext comes back for keeping, but not if p was all.
func readData(f *os.File, seg *segment, e Extent, p []byte, from int64) ([]byte, error) {
	raw, h, err := readRecord(f, seg, e.Pos, e.Skip+e.Len)
	if err != nil {
		return nil, err
	}
	defer putBuffer(raw)
	if e.Skip+e.Len > int64(h.length) {
		return nil, ErrBounds
	}
	if from == 0 && len(p) == h.length {
		_, err := openData(p[:0:len(p)], raw.b, seg.gcm, &raw.nonce, e.Pos, h)
		return nil, err
	}
	plain, err := openData(make([]byte, 0, h.length), raw.b, seg.gcm, &raw.nonce, e.Pos, h)
	if err != nil {
		return nil, err
	}
	copy(p, plain[from:])
	return plain, nil
}

// readRecord reads the sealed record at pos, whole, of which at least length
// bytes of plaintext are expected, and opens its head. The buffer is the
// caller's.
func readRecord(f *os.File, seg *segment, pos, length int64) (*buffer, head, error) {
	buf := getBuffer(recordFixed + readAhead + int(length))
	n, err := readFull(f, buf.b, pos)
	if err != nil {
		putBuffer(buf)
		return nil, head{}, fmt.Errorf("reading segment %016x: %w", seg.id, err)
	}
	h, err := openHead(buf.b[:n], seg.gcm, &buf.nonce, pos)
	if err != nil {
		putBuffer(buf)
		return nil, head{}, err
	}
	if span := h.span(); n < span && n == len(buf.b) {
		whole := getBuffer(span)
		copy(whole.b, buf.b)
		putBuffer(buf)
		buf = whole
		more, err := readFull(f, buf.b[n:], pos+int64(n))
		if err != nil {
			putBuffer(buf)
			return nil, head{}, fmt.Errorf("reading segment %016x: %w", seg.id, err)
		}
		n += more
	}
	if n < h.span() {
		putBuffer(buf)
		return nil, head{}, ErrTorn
	}
	buf.b = buf.b[:h.span()]
	return buf, h, nil
}

// Verify checks that every byte that the extents name is there and intact:
// after an unclean start, before an upload. It bypasses what is cached, and
// checks the records' owners too. Errors as those of ReadAt, the first one
// found, and the context's.
func (s *Store) Verify(ctx context.Context, es ...Extent) error {
	for _, e := range es {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.check(); err != nil {
			return fmt.Errorf("%w: %v", ErrExtents, err)
		}
		if err := s.verify(e); err != nil {
			return corruptAt(err, e)
		}
	}
	return nil
}

func (s *Store) verify(e Extent) error {
	seg, f, err := s.acquire(e.Seg)
	if err != nil {
		return err
	}
	defer s.leave(seg)
	raw, h, err := readRecord(f, seg, e.Pos, e.Skip+e.Len)
	if err != nil {
		return err
	}
	defer putBuffer(raw)
	if e.Skip+e.Len > int64(h.length) {
		return ErrBounds
	}
	if _, err := openOwner(raw.b, seg.gcm, &raw.nonce, e.Pos, h); err != nil {
		return err
	}
	plain := getBuffer(h.length)
	defer putBuffer(plain)
	_, err = openData(plain.b[:0], raw.b, seg.gcm, &raw.nonce, e.Pos, h)
	return err
}
