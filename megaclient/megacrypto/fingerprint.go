package megacrypto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
)

// ErrFingerprint means that a fingerprint attribute is malformed.
var ErrFingerprint = errors.New("malformed fingerprint")

// Fingerprint is a file's `c` attribute (PROTOCOL 3.5): four CRCs over samples of the plaintext, and
// the modification time in Unix seconds, for which MEGA has no other place. On reading only Mtime
// means anything: old clients computed other CRCs.
type Fingerprint struct {
	CRC   [16]byte
	Mtime int64
}

// String gives the attribute's value, in base64.
func (f Fingerprint) String() string {
	n := (bits.Len64(uint64(f.Mtime)) + 7) / 8
	out := append(f.CRC[:len(f.CRC):len(f.CRC)], byte(n))
	mtime := binary.LittleEndian.AppendUint64(nil, uint64(f.Mtime))
	return EncodeBase64(append(out, mtime[:n]...))
}

// ParseFingerprint reads the attribute's value; bytes behind it are ignored. The error is
// ErrFingerprint.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	b, err := DecodeBase64(s)
	if err != nil {
		return f, fmt.Errorf("%w: %w", ErrFingerprint, err)
	}
	if len(b) < 17 || b[16] > 8 || len(b) < 17+int(b[16]) {
		return f, fmt.Errorf("%w: %d bytes", ErrFingerprint, len(b))
	}
	var mtime [8]byte
	copy(mtime[:], b[17:17+b[16]])
	copy(f.CRC[:], b)
	f.Mtime = int64(binary.LittleEndian.Uint64(mtime[:]))
	return f, nil
}

const (
	wholeSize   = 16      // up to here the CRC is the content itself
	laneSize    = 8 << 10 // up to here all of the content is summed
	blockSize   = 64      // beyond, samples of this size
	laneBlocks  = 32      // for each of the four lanes
	sampleCount = 4 * laneBlocks
)

// NewFingerprint reads at most 8 KiB of a file's plaintext of the given size. A read error is
// returned wrapped, a file shorter than size included.
func NewFingerprint(r io.ReaderAt, size, mtime int64) (Fingerprint, error) {
	f := Fingerprint{Mtime: mtime}
	sum := f.sampled
	if size <= laneSize {
		sum = f.whole
	}
	crc, err := sum(r, size)
	if err != nil {
		return Fingerprint{}, fmt.Errorf("reading for a fingerprint: %w", err)
	}
	f.CRC = crc
	return f, nil
}

func (Fingerprint) whole(r io.ReaderAt, size int64) (crc [16]byte, err error) {
	data := make([]byte, size)
	if err := readFull(r, data, 0); err != nil {
		return crc, err
	}
	if size <= wholeSize {
		copy(crc[:], data)
		return crc, nil
	}
	for lane := range int64(4) {
		sum := crc32.ChecksumIEEE(data[lane*size/4 : (lane+1)*size/4])
		binary.BigEndian.PutUint32(crc[lane*4:], sum)
	}
	return crc, nil
}

func (Fingerprint) sampled(r io.ReaderAt, size int64) (crc [16]byte, err error) {
	var block [blockSize]byte
	for lane := range 4 {
		sum := uint32(0)
		for j := range laneBlocks {
			if err := readFull(r, block[:], sampleOffset(size, lane*laneBlocks+j)); err != nil {
				return crc, err
			}
			sum = crc32.Update(sum, crc32.IEEETable, block[:])
		}
		binary.BigEndian.PutUint32(crc[lane*4:], sum)
	}
	return crc, nil
}

// sampleOffset is (size-64)·i/127, in 128 bits so that no size overflows.
func sampleOffset(size int64, i int) int64 {
	hi, lo := bits.Mul64(uint64(size-blockSize), uint64(i))
	q, _ := bits.Div64(hi, lo, sampleCount-1)
	return int64(q)
}

// readFull reads all of p; a reader that says io.EOF along with the last byte is fine.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
