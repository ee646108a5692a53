package staging

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/zeebo/blake3"
)

// The format of a segment, drawn in FORMAT.md. Everything here is arithmetic
// on bytes; no file is touched.
const (
	formatVersion = 1
	magic         = "MDSTAGE\n"
	headerSize    = 128 // of a segment
	alignment     = 64  // of a record in its segment
	keySize       = 32
	tagSize       = 16
	wrapNonceAt   = 24
	wrapBoxAt     = wrapNonceAt + 12
	wrapBoxEnd    = wrapBoxAt + keySize + tagSize

	headSize    = 32                 // plaintext of a record's first box
	headBox     = headSize + tagSize // sealed
	kindData    = 1
	maxPath     = 32 << 10
	maxBase     = 16 << 10
	ownerFixed  = 4 // two lengths
	recordFixed = headBox + tagSize + tagSize
	maxSpan     = recordFixed + ownerFixed + maxPath + maxBase + MaxRecord + alignment
)

// The boxes of a record; part of their nonces.
const (
	boxHead  = 1
	boxOwner = 2
	boxData  = 3
)

// newWrapper makes the cipher that wraps segment keys. The key is derived, so
// that the caller may use its own for other things as well.
func newWrapper(key [32]byte) cipher.AEAD {
	var derived [keySize]byte
	blake3.DeriveKey("megadisk writeback/staging segment key wrap v1", key[:], derived[:])
	return newGCM(derived[:])
}

// newGCM is AES-256-GCM; the key has 32 bytes, so nothing can fail.
func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

// newHeader draws a segment's key and makes its header.
func newHeader(seg uint64, wrap cipher.AEAD) (header []byte, gcm cipher.AEAD) {
	var key [keySize]byte
	rand.Read(key[:]) // never fails, by its documentation
	h := make([]byte, headerSize)
	copy(h, magic)
	binary.BigEndian.PutUint16(h[8:], formatVersion)
	binary.BigEndian.PutUint64(h[16:], seg)
	nonce := h[wrapNonceAt:wrapBoxAt]
	rand.Read(nonce)
	wrap.Seal(h[wrapBoxAt:wrapBoxAt], nonce, key[:], h[:wrapNonceAt])
	gcm = newGCM(key[:])
	clear(key[:])
	return h, gcm
}

// openHeader checks a segment's header and gives its cipher. Errors:
// *CorruptError (ErrHeader, ErrKey), *NewerError.
func openHeader(h []byte, seg uint64, wrap cipher.AEAD) (cipher.AEAD, error) {
	bad := func(cause error) error { return &CorruptError{Seg: seg, Err: cause} }
	if len(h) < headerSize || string(h[:len(magic)]) != magic {
		return nil, bad(ErrHeader)
	}
	if v := binary.BigEndian.Uint16(h[8:]); v > formatVersion {
		return nil, &NewerError{Seg: seg, Version: v}
	} else if v == 0 {
		return nil, bad(ErrHeader)
	}
	if !allZero(h[10:16]) || !allZero(h[wrapBoxEnd:headerSize]) || binary.BigEndian.Uint64(h[16:]) != seg {
		return nil, bad(ErrHeader)
	}
	key, err := wrap.Open(nil, h[wrapNonceAt:wrapBoxAt], h[wrapBoxAt:wrapBoxEnd], h[:wrapNonceAt])
	if err != nil || len(key) != keySize {
		return nil, bad(ErrKey)
	}
	gcm := newGCM(key)
	clear(key)
	return gcm, nil
}

// head is the first box of a record.
type head struct {
	owner  int    // plaintext bytes of the owner box, padding included
	length int    // plaintext bytes of the data box
	ino    uint64 // whose
	off    int64  // where in the file
	stamp  int64  // when: ns since 1970, made strictly increasing in a store
}

// span is what the whole record takes in the segment, a multiple of alignment.
func (h head) span() int { return recordFixed + h.owner + h.length }

// encode writes the head's plaintext.
func (h head) encode(b []byte) {
	b[0], b[1] = kindData, 0
	binary.BigEndian.PutUint16(b[2:], uint16(h.owner))
	binary.BigEndian.PutUint32(b[4:], uint32(h.length))
	binary.BigEndian.PutUint64(b[8:], h.ino)
	binary.BigEndian.PutUint64(b[16:], uint64(h.off))
	binary.BigEndian.PutUint64(b[24:], uint64(h.stamp))
}

// decodeHead reads and checks a head's plaintext.
func decodeHead(b []byte) (head, error) {
	if len(b) != headSize || b[0] != kindData || b[1] != 0 {
		return head{}, fmt.Errorf("%w: unknown kind of record", ErrSeal)
	}
	length := binary.BigEndian.Uint32(b[4:])
	h := head{
		owner: int(binary.BigEndian.Uint16(b[2:])),
		ino:   binary.BigEndian.Uint64(b[8:]),
		off:   int64(binary.BigEndian.Uint64(b[16:])),
		stamp: int64(binary.BigEndian.Uint64(b[24:])),
	}
	if length == 0 || length > MaxRecord || h.owner < ownerFixed || h.off < 0 || h.off > math.MaxInt64-int64(length) {
		return head{}, fmt.Errorf("%w: impossible lengths", ErrSeal)
	}
	h.length = int(length)
	if h.span()%alignment != 0 {
		return head{}, fmt.Errorf("%w: not aligned", ErrSeal)
	}
	return h, nil
}

// ownerSize is the size of an owner's plaintext beside length bytes of data,
// padded so that the record's span is aligned.
func ownerSize(o Owner, length int) int {
	n := ownerFixed + len(o.Path) + len(o.Base)
	over := (recordFixed + n + length) % alignment
	return n + (alignment-over)%alignment
}

// encode writes the owner's plaintext, without the inode's number, and pads it.
func (o Owner) encode(b []byte) {
	binary.BigEndian.PutUint16(b, uint16(len(o.Path)))
	n := 2 + copy(b[2:], o.Path)
	binary.BigEndian.PutUint16(b[n:], uint16(len(o.Base)))
	n += 2
	n += copy(b[n:], o.Base)
	clear(b[n:])
}

// decodeOwner reads an owner's plaintext.
func decodeOwner(b []byte) (o Owner, err error) {
	for _, field := range []*string{&o.Path, &o.Base} {
		if len(b) < 2 {
			return Owner{}, fmt.Errorf("%w: owner is cut short", ErrSeal)
		}
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; n > len(b) {
			return Owner{}, fmt.Errorf("%w: owner is cut short", ErrSeal)
		}
		*field, b = string(b[:n]), b[n:]
	}
	if len(b) >= alignment || !allZero(b) {
		return Owner{}, fmt.Errorf("%w: owner's padding", ErrSeal)
	}
	return o, nil
}

// fit makes an owner storable: of a path that is too long the end is kept.
func (o Owner) fit() (Owner, error) {
	if len(o.Base) > maxBase {
		return Owner{}, fmt.Errorf("%w: base of %d bytes", ErrOwner, len(o.Base))
	}
	if len(o.Path) > maxPath {
		o.Path = o.Path[len(o.Path)-maxPath:]
		if i := strings.IndexByte(o.Path, '/'); i > 0 {
			o.Path = o.Path[i:]
		}
	}
	return o, nil
}

// nonceAt is the nonce of one box of the record at pos. Positions in a segment
// are given out once, and every segment has its own key.
func nonceAt(nonce *[12]byte, box uint32, pos int64) []byte {
	binary.BigEndian.PutUint32(nonce[:], box)
	binary.BigEndian.PutUint64(nonce[4:], uint64(pos))
	return nonce[:]
}

// sealRecord writes the record that will stand at pos into b[:h.span()]. The
// data is encrypted on its way from p into b; there is no other copy.
func sealRecord(b []byte, gcm cipher.AEAD, nonce *[12]byte, pos int64, h head, o Owner, p []byte) {
	h.encode(b[:headSize])
	gcm.Seal(b[:0], nonceAt(nonce, boxHead, pos), b[:headSize], nil)
	b = b[headBox:]
	o.encode(b[:h.owner])
	gcm.Seal(b[:0], nonceAt(nonce, boxOwner, pos), b[:h.owner], nil)
	b = b[h.owner+tagSize:]
	gcm.Seal(b[:0], nonceAt(nonce, boxData, pos), p, nil)
}

// openHead opens the first box of the record at pos; b stays as it is.
func openHead(b []byte, gcm cipher.AEAD, nonce *[12]byte, pos int64) (head, error) {
	if len(b) < headBox {
		return head{}, ErrTorn
	}
	var plain [headSize]byte
	out, err := gcm.Open(plain[:0], nonceAt(nonce, boxHead, pos), b[:headBox], nil)
	if err != nil {
		return head{}, ErrSeal
	}
	return decodeHead(out)
}

// openOwner opens the second box of the record at pos.
func openOwner(b []byte, gcm cipher.AEAD, nonce *[12]byte, pos int64, h head) (Owner, error) {
	if len(b) < h.span() {
		return Owner{}, ErrTorn
	}
	plain, err := gcm.Open(nil, nonceAt(nonce, boxOwner, pos), b[headBox:headBox+h.owner+tagSize], nil)
	if err != nil {
		return Owner{}, ErrSeal
	}
	o, err := decodeOwner(plain)
	o.Ino = h.ino
	return o, err
}

// openData opens the third box of the record at pos and appends it to dst.
func openData(dst, b []byte, gcm cipher.AEAD, nonce *[12]byte, pos int64, h head) ([]byte, error) {
	if len(b) < h.span() {
		return nil, ErrTorn
	}
	plain, err := gcm.Open(dst, nonceAt(nonce, boxData, pos), b[headBox+h.owner+tagSize:h.span()], nil)
	if err != nil {
		return nil, ErrSeal
	}
	return plain, nil
}

// allZero tells whether b is zeros.
func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
