package cache

import (
	"math/bits"

	"megadisk/megaclient/megacrypto"
)

// UnitSize is the cache's piece in bytes: units are aligned, and only a file's last may be shorter.
//
// MEGA's chunk borders are multiples of it, so that a unit never lies in two chunks:
//
//	unit    0   1   2   3   4   5   6   7   8   9  10 …
//	chunk   0 | 1     | 2         | 3             | 4 …
const UnitSize = 128 << 10

// smallSize is the largest file, in bytes, that is fetched and verified whole before its first byte is
// served.
const smallSize = 1 << 20

// smallUnits is the number of units of the largest small file.
const smallUnits = smallSize / UnitSize

func unitOf(off int64) int64 { return off / UnitSize }

// unitEnd is the number of units needed for the first end bytes.
func unitEnd(end int64) int64 { return (end + UnitSize - 1) / UnitSize }

// unitLen is the number of bytes of unit u in a file of the given size.
func unitLen(u, size int64) int {
	return int(max(0, min(UnitSize, size-u*UnitSize)))
}

func chunkOf(u int64) int { return megacrypto.ChunkIndex(u * UnitSize) }

// chunkUnits gives the units [first, end) of chunk i.
func chunkUnits(i int, size int64) (first, end int64) {
	from, to := megacrypto.ChunkBounds(i, size)
	return unitOf(from), unitEnd(to)
}

// cutAtChunk shortens the units [first, end) so that they end with a chunk, if a chunk ends in them. A
// fetch that brings chunks whole has them verified at once, without waiting for another one.
func cutAtChunk(first, end int64) int64 {
	start, _ := chunkUnits(chunkOf(end), end*UnitSize+1)
	if start > first {
		return start
	}
	return end
}

// bitmap is a set of small numbers.
type bitmap []uint64

func newBitmap(n int64) bitmap { return make(bitmap, (n+63)/64) }

func (b bitmap) has(i int64) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitmap) set(i int64)      { b[i/64] |= 1 << (i % 64) }
func (b bitmap) unset(i int64)    { b[i/64] &^= 1 << (i % 64) }

func (b bitmap) any() bool {
	for _, w := range b {
		if w != 0 {
			return true
		}
	}
	return false
}

func (b bitmap) count() (n int64) {
	for _, w := range b {
		n += int64(bits.OnesCount64(w))
	}
	return n
}
