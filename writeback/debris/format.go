package debris

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fxamacker/cbor/v2"
)

// FORMAT.md draws all of this.
const (
	magic      = "MDDEBRI\n"
	version    = 1
	headerSize = 128
	boundSize  = 24 // bytes of the header that the wrapped key is bound to
	nonceSize  = 12
	tagSize    = 16
	recordSize = 128 << 10
	maxInfo    = 64 << 10
)

// The boxes of a file, as the first four bytes of their nonces say.
const (
	boxInfo uint32 = 1
	boxData uint32 = 2
)

// ErrDamaged means that what is on disk isn't what was written.
var ErrDamaged = errors.New("the debris is damaged")

// NewerError says that an item was written by a newer version.
type NewerError struct{ Version int }

func (e *NewerError) Error() string {
	return fmt.Sprintf("debris of format %d is of a newer version", e.Version)
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("debris: a key of a constant size: " + err.Error())
	}
	g, err := cipher.NewGCM(block)
	if err != nil {
		panic("debris: GCM: " + err.Error())
	}
	return g
}

func boxNonce(box uint32, n uint64) []byte {
	nonce := make([]byte, nonceSize)
	binary.BigEndian.PutUint32(nonce, box)
	binary.BigEndian.PutUint64(nonce[4:], n)
	return nonce
}

// newHeader makes a header with a random key, and gives that key's cipher.
func newHeader(wrap [32]byte) ([]byte, cipher.AEAD) {
	h := make([]byte, headerSize)
	copy(h, magic)
	binary.BigEndian.PutUint16(h[8:], version)
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	_, _ = rand.Read(h[boundSize : boundSize+nonceSize])
	sealed := gcm(wrap[:]).Seal(nil, h[boundSize:boundSize+nonceSize], key, h[:boundSize])
	copy(h[boundSize+nonceSize:], sealed)
	return h, gcm(key)
}

func openHeader(h []byte, wrap [32]byte) (cipher.AEAD, error) {
	if !bytes.HasPrefix(h, []byte(magic)) {
		return nil, ErrDamaged
	}
	if v := binary.BigEndian.Uint16(h[8:]); v > version {
		return nil, &NewerError{Version: int(v)}
	}
	sealed := h[boundSize+nonceSize : boundSize+nonceSize+32+tagSize]
	key, err := gcm(wrap[:]).Open(nil, h[boundSize:boundSize+nonceSize], sealed, h[:boundSize])
	if err != nil {
		return nil, ErrDamaged
	}
	return gcm(key), nil
}

// writeItem writes a whole item.
func writeItem(w io.Writer, wrap [32]byte, info Info, read func([]byte, int64) (int, error)) error {
	text, err := cbor.Marshal(info)
	if err != nil {
		return err
	}
	if len(text) > maxInfo {
		return fmt.Errorf("a path of %d bytes", len(info.Path))
	}
	head, box := newHeader(wrap)
	head = binary.BigEndian.AppendUint32(head, uint32(len(text)+tagSize))
	head = box.Seal(head, boxNonce(boxInfo, 0), text, nil)
	if _, err := w.Write(head); err != nil {
		return err
	}
	plain, sealed := make([]byte, recordSize), []byte(nil)
	for n, off := uint64(0), int64(0); off < info.Size; n++ {
		part := plain[:min(recordSize, info.Size-off)]
		if err := readFull(read, part, off); err != nil {
			return err
		}
		sealed = box.Seal(sealed[:0], boxNonce(boxData, n), part, nil)
		if _, err := w.Write(sealed); err != nil {
			return err
		}
		off += int64(len(part))
	}
	return nil
}

func readFull(read func([]byte, int64) (int, error), p []byte, off int64) error {
	for len(p) > 0 {
		n, err := read(p, off)
		p, off = p[n:], off+int64(n)
		if err != nil && !(errors.Is(err, io.EOF) && len(p) == 0) {
			return err
		}
		if n == 0 && len(p) > 0 {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// openItem reads what an item is, and where its data begin.
func openItem(f io.ReaderAt, wrap [32]byte) (box cipher.AEAD, info Info, data int64, err error) {
	head := make([]byte, headerSize+4)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, info, 0, damaged(err)
	}
	if box, err = openHeader(head, wrap); err != nil {
		return nil, info, 0, err
	}
	n := binary.BigEndian.Uint32(head[headerSize:])
	if n > maxInfo+tagSize {
		return nil, info, 0, ErrDamaged
	}
	sealed := make([]byte, n)
	if _, err := f.ReadAt(sealed, headerSize+4); err != nil {
		return nil, info, 0, damaged(err)
	}
	text, err := box.Open(nil, boxNonce(boxInfo, 0), sealed, nil)
	if err != nil {
		return nil, info, 0, ErrDamaged
	}
	mode, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err == nil {
		err = mode.Unmarshal(text, &info)
	}
	if err != nil || info.Size < 0 {
		return nil, info, 0, ErrDamaged
	}
	return box, info, headerSize + 4 + int64(n), nil
}

func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrDamaged
	}
	return err
}

// Reader reads an item's content. It is not for several goroutines at once.
type Reader struct {
	Info
	f    *os.File
	box  cipher.AEAD
	data int64 // where the first record begins
	at   int64 // number of the record in buf; -1: none
	buf  []byte
}

// Reader opens an item. Errors: ErrNoItem, ErrDamaged.
func (s *Store) Reader(id string) (*Reader, error) {
	if _, err := s.Item(id); err != nil {
		return nil, err
	}
	f, err := os.Open(s.file(id))
	if err != nil {
		return nil, err
	}
	r := &Reader{f: f, at: -1}
	if r.box, r.Info, r.data, err = openItem(f, s.o.Key); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// ReadAt reads like io.ReaderAt. Errors: ErrDamaged.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		if off >= r.Size {
			return n, io.EOF
		}
		if err := r.load(off / recordSize); err != nil {
			return n, err
		}
		k := copy(p[n:], r.buf[off%recordSize:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

func (r *Reader) load(record int64) error {
	if r.at == record {
		return nil
	}
	plain := min(recordSize, r.Size-record*recordSize)
	sealed := make([]byte, plain+tagSize)
	if _, err := r.f.ReadAt(sealed, r.data+record*(recordSize+tagSize)); err != nil {
		return damaged(err)
	}
	buf, err := r.box.Open(sealed[:0], boxNonce(boxData, uint64(record)), sealed, nil)
	if err != nil {
		r.at = -1
		return ErrDamaged
	}
	r.at, r.buf = record, buf
	return nil
}

// Close ends the reading.
func (r *Reader) Close() error { return r.f.Close() }
