package megacrypto

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"megadisk/megaclient/megacrypto/internal/aesasm"
)

// Cipher encrypts, decrypts and authenticates the content of one file. It holds the expanded key, is
// safe for concurrent use, and is worth keeping for as long as the file is in use.
type Cipher struct {
	block cipher.Block
	nonce [8]byte

	fast bool        // chunk MACs go through package aesasm
	wide bool        // and so does the key stream
	keys aesasm.Keys // for it; filled in if fast
}

// NewCipher expands the key of a file; k.MAC plays no part.
func NewCipher(k FileKey) *Cipher {
	c := &Cipher{block: k.Key.block(), nonce: k.Nonce, fast: aesasm.Available(), wide: aesasm.Wide()}
	if c.fast {
		c.keys.Expand((*[16]byte)(&k.Key))
	}
	return c
}

// String hides the key from logs.
func (*Cipher) String() string { return redacted }

// GoString hides the key from %#v.
func (*Cipher) GoString() string { return redacted }

// Format hides the key from every verb.
func (*Cipher) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// shortStream is the length up to which single blocks beat the set-up of a stream.
const shortStream = 256

// XORKeyStreamAt encrypts or decrypts the bytes of src, which stand at offset off of the file, to dst
// (AES-CTR with counter nonce ‖ off/16, PROTOCOL 4.2). Any non-negative offset and any length will do.
// dst must be as long as src; both may be the same slice, but not overlap otherwise.
func (c *Cipher) XORKeyStreamAt(dst, src []byte, off int64) {
	if c.wide {
		c.xorGroups(dst[:len(src)], src, off)
		return
	}
	if len(src) <= shortStream {
		c.xorBlocks(dst, src, off)
		return
	}
	if head := int(-off & 15); head > 0 { // up to the next block
		c.xorBlocks(dst[:head], src[:head], off)
		dst, src, off = dst[head:], src[head:], off+int64(head)
	}
	iv := scratch.Get().(*[16]byte)
	defer scratch.Put(iv)
	*iv = c.counter(off)
	// One small allocation, which buys eight blocks at a time: there is no faster way in the library.
	cipher.NewCTR(c.block, iv[:]).XORKeyStream(dst[:len(src)], src)
}

// xorGroups is XORKeyStreamAt by package aesasm. What makes no whole group goes through a buffer that is one.
func (c *Cipher) xorGroups(dst, src []byte, off int64) {
	for len(src) > 0 {
		skip, n := int(off&15), len(src)&^(aesasm.GroupSize-1)
		if skip == 0 && n > 0 {
			c.keys.CTR(dst[:n], src[:n], c.nonce, uint64(off)>>4)
		} else {
			var buf [aesasm.GroupSize]byte
			n = copy(buf[skip:], src)
			c.keys.CTR(buf[:], buf[:], c.nonce, uint64(off)>>4)
			copy(dst, buf[skip:skip+n])
		}
		dst, src, off = dst[n:], src[n:], off+int64(n)
	}
}

func (c *Cipher) counter(off int64) (iv [16]byte) {
	copy(iv[:8], c.nonce[:])
	binary.BigEndian.PutUint64(iv[8:], uint64(off)>>4)
	return iv
}

// xorBlocks is XORKeyStreamAt block by block.
func (c *Cipher) xorBlocks(dst, src []byte, off int64) {
	buf := scratch.Get().(*[16]byte)
	defer scratch.Put(buf)
	for len(src) > 0 {
		*buf = c.counter(off)
		c.block.Encrypt(buf[:], buf[:])
		skip := int(off & 15)
		n := min(16-skip, len(src))
		for i := range n {
			dst[i] = src[i] ^ buf[skip+i]
		}
		dst, src, off = dst[n:], src[n:], off+int64(n)
	}
}
