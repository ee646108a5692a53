package megacrypto

import (
	"crypto/subtle"
	"encoding/binary"
	"sync"

	"megadisk/megaclient/megacrypto/internal/aesasm"
)

// scratch lends the 16 bytes that cipher.Block, an interface, would push to the heap.
var scratch = sync.Pool{New: func() any { return new([16]byte) }}

// start is where the chain of each chunk begins: N‖N (PROTOCOL 4.4).
func (c *Cipher) start() (x [16]byte) {
	copy(x[:8], c.nonce[:])
	copy(x[8:], c.nonce[:])
	return x
}

// fold chains plain into x; a last block that is short is padded with zeros.
func (c *Cipher) fold(x *[16]byte, plain []byte) {
	whole := len(plain) &^ 15
	c.foldBlocks(x, plain[:whole])
	if tail := plain[whole:]; len(tail) > 0 {
		subtle.XORBytes(x[:], x[:], tail)
		c.block.Encrypt(x[:], x[:])
	}
}

// foldBlocks chains whole blocks into x.
func (c *Cipher) foldBlocks(x *[16]byte, plain []byte) {
	if c.fast {
		c.keys.Fold(x, plain)
		return
	}
	for len(plain) >= 16 {
		lo := binary.NativeEndian.Uint64(x[:8]) ^ binary.NativeEndian.Uint64(plain[:8])
		hi := binary.NativeEndian.Uint64(x[8:]) ^ binary.NativeEndian.Uint64(plain[8:16])
		binary.NativeEndian.PutUint64(x[:8], lo)
		binary.NativeEndian.PutUint64(x[8:], hi)
		c.block.Encrypt(x[:], x[:])
		plain = plain[16:]
	}
}

// advance takes the first n chains of a batch on, until one of them at least has no whole block left.
func (c *Cipher) advance(b *aesasm.Batch, n int) {
	if c.fast {
		b.Advance(&c.keys, n)
		return
	}
	for i, data := range b.Data[:n] { // one after the other: through an interface nothing is gained by turns
		whole := len(data) &^ 15
		c.foldBlocks(&b.X[i], data[:whole])
		b.Data[i] = data[whole:]
	}
}
