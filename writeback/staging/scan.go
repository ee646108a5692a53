package staging

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
)

// scanWindow is how much of a segment is held while it is scanned.
const scanWindow = 256 << 10

// scan walks a segment's records by their heads, calls visit for each, and
// gives the segment's cipher. Where no record begins it looks on at the next
// place where one could, so that a hole, left by a crash between two writers,
// or a damaged record hides nothing behind it. Zeros between records are such
// holes and no damage; other bytes that belong to no record are reported, one
// *CorruptError a stretch, all joined.
func scan(f io.ReaderAt, id uint64, wrap cipher.AEAD, visit func(pos int64, h head)) (cipher.AEAD, error) {
	w := &window{f: f, buf: make([]byte, 0, scanWindow)}
	header, err := w.at(0, headerSize)
	if err != nil {
		return nil, fmt.Errorf("reading segment %016x: %w", id, err)
	}
	gcm, err := openHeader(header, id, wrap)
	if err != nil {
		return nil, err
	}
	var nonce [12]byte
	var damage []error
	damaged := false // the bytes before pos are reported already
	for pos := int64(headerSize); ; {
		b, err := w.at(pos, alignment)
		if err != nil {
			return gcm, fmt.Errorf("reading segment %016x: %w", id, err)
		}
		if len(b) == 0 {
			return gcm, errors.Join(damage...)
		}
		h, err := openHead(b, gcm, &nonce, pos)
		if err == nil {
			visit(pos, h)
			pos += int64(h.span())
			damaged = false
			continue
		}
		if zero := allZero(b); !zero && !damaged {
			damage = append(damage, &CorruptError{Seg: id, Pos: pos, Err: err})
			damaged = true
		}
		pos += alignment
	}
}

// window reads a file forwards, in large pieces.
type window struct {
	f     io.ReaderAt
	start int64
	buf   []byte
}

// at gives the n bytes at pos, less only at the end of the file; they are
// valid until the next call.
func (w *window) at(pos int64, n int) ([]byte, error) {
	if pos < w.start || pos+int64(n) > w.start+int64(len(w.buf)) {
		w.start = pos
		w.buf = w.buf[:cap(w.buf)]
		got, err := w.f.ReadAt(w.buf, pos)
		w.buf = w.buf[:got]
		if err != nil && !isEOF(err) {
			return nil, err
		}
	}
	b := w.buf[pos-w.start:]
	return b[:min(n, len(b))], nil
}
