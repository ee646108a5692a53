package megatest

import (
	"encoding/binary"
	"errors"
	"io"

	"megadisk/megaclient/megacrypto"
)

// synthetic is content that is computed when it is read: SyntheticAt, encrypted unless key is nil.
type synthetic struct {
	size int64
	key  *megacrypto.FileKey
}

// SyntheticAt fills p with the bytes that a synthetic file (PutSpec.Size without Content) has at off:
// each group of eight is its own number, scrambled, so that no two parts of a file are alike.
func SyntheticAt(p []byte, off int64) {
	var word [8]byte
	for i := 0; i < len(p); {
		pos := off + int64(i)
		x := uint64(pos/8)*0x9e3779b97f4a7c15 + 0x2545f4914f6cdd1d
		x ^= x >> 29
		binary.LittleEndian.PutUint64(word[:], x*0xbf58476d1ce4e5b9)
		i += copy(p[i:], word[pos%8:])
	}
}

// ReadAt reads the content.
func (c synthetic) ReadAt(p []byte, off int64) (int, error) {
	if off >= c.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), c.size-off))
	SyntheticAt(p[:n], off)
	if c.key != nil {
		megacrypto.NewCipher(*c.key).XORKeyStreamAt(p[:n], p[:n], off)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt refuses: the content is what it is.
func (c synthetic) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

func (c synthetic) remove() {}
