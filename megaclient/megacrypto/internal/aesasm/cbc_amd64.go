//go:build amd64 && !purego

package aesasm

import "golang.org/x/sys/cpu"

var available = cpu.X86.HasAES && cpu.X86.HasAVX

// Available tells whether this build and this processor have the instructions. Where it is false
// nothing else of this package may be called.
func Available() bool { return available }

// Expand derives the round keys (FIPS 197, 5.2).
func (k *Keys) Expand(key *[BlockSize]byte) { expand(k.bytes(), key) }

func (k *Keys) bytes() *[len(Keys{})]byte { return (*[len(k)]byte)(k) }

// stretch is how many blocks go by between two points at which the goroutine can be stopped: a
// garbage collection must not wait for a whole chunk.
const stretch = 2048

// Fold takes the whole blocks of data into the chain x.
func (k *Keys) Fold(x *[BlockSize]byte, data []byte) {
	for len(data) >= BlockSize {
		blocks := min(len(data)/BlockSize, stretch)
		advance1(k.bytes(), x, &data, blocks)
		data = data[blocks*BlockSize:]
	}
}

// Advance takes the first n lanes on by as many whole blocks as all of them have, and removes those
// from Data. n is from 1 to Lanes.
func (b *Batch) Advance(k *Keys, n int) {
	for left := b.blocks(n); left > 0; {
		blocks := min(left, stretch)
		b.advance(k, n, blocks)
		for i, d := range b.Data[:n] {
			b.Data[i] = d[blocks*BlockSize:]
		}
		left -= blocks
	}
}

// blocks gives the number of whole blocks that all of the first n lanes have.
func (b *Batch) blocks(n int) int {
	size := len(b.Data[0])
	for _, d := range b.Data[1:n] {
		size = min(size, len(d))
	}
	return size / BlockSize
}

func (b *Batch) advance(keys *Keys, n, blocks int) {
	k, x, data := keys.bytes(), &b.X[0], &b.Data[0]
	switch n {
	case 1:
		advance1(k, x, data, blocks)
	case 2:
		advance2(k, x, data, blocks)
	case 3:
		advance3(k, x, data, blocks)
	case 4:
		advance4(k, x, data, blocks)
	case 5:
		advance5(k, x, data, blocks)
	case 6:
		advance6(k, x, data, blocks)
	case 7:
		advance7(k, x, data, blocks)
	case 8:
		advance8(k, x, data, blocks)
	}
}
