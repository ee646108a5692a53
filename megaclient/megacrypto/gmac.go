package megacrypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"megadisk/megaclient/megacrypto/internal/aesasm"
)

// GMAC is the tag that AES-256-GCM gives to content that it doesn't encrypt (NIST SP 800-38D). MEGA has no use for it: it
// is what content on a disk of ours is checked with. It is safe for concurrent use.
type GMAC struct {
	block cipher.Block
	gcm   cipher.AEAD

	wide   bool          // the hash goes through package aesasm
	powers aesasm.Powers // for it; filled in if wide
}

// NewGMAC expands a key.
func NewGMAC(key [32]byte) *GMAC {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for a block of another length
	}
	g := &GMAC{block: block, gcm: gcm, wide: aesasm.Wide()}
	if g.wide {
		var hash [16]byte
		block.Encrypt(hash[:], hash[:])
		g.powers.Expand(&hash)
	}
	return g
}

// String hides the key from logs.
func (*GMAC) String() string { return redacted }

// GoString hides the key from %#v.
func (*GMAC) GoString() string { return redacted }

// Format hides the key from every verb.
func (*GMAC) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// Sum puts the tag of data under a nonce into tag. Through an interface both go to the heap, so the caller has them there.
func (g *GMAC) Sum(tag *[16]byte, nonce *[12]byte, data []byte) {
	if !g.wide {
		g.gcm.Seal(tag[:0], nonce[:], nil, data)
		return
	}
	y := g.hash(data)
	copy(tag[:], nonce[:])
	binary.BigEndian.PutUint32(tag[12:], 1)
	g.block.Encrypt(tag[:], tag[:])
	subtle.XORBytes(tag[:], tag[:], y[:])
}

// hash is GHASH of data, of zeros up to the next block, and of both lengths in bits.
func (g *GMAC) hash(data []byte) (y [16]byte) {
	whole := len(data) &^ 15
	g.powers.Fold(&y, data[:whole])
	var end [32]byte
	rest := (copy(end[:16], data[whole:]) + 15) &^ 15
	binary.BigEndian.PutUint64(end[rest:], uint64(len(data))*8)
	g.powers.Fold(&y, end[:rest+16])
	return y
}
