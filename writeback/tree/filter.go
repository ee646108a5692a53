package tree

import "hash/maphash"

// filter says of keys that were written for certain when one was not. While a tree is fetched for the first time, nearly
// every name and handle is new; a look-up in the database that finds nothing costs more than all else about a node. It is
// there from the opening of an empty database to the end of its first fetch, and belongs to the one who writes.
type filter struct {
	seed maphash.Seed
	bits []uint64
}

const (
	filterBits   = 1 << 25 // 4 MiB; of two million keys it takes 2 in 1,000 for written that aren't
	filterProbes = 6
)

func newFilter() *filter {
	return &filter{seed: maphash.MakeSeed(), bits: make([]uint64, filterBits/64)}
}

// filtered says whether rows of that key are in the filter.
func filtered(k []byte) bool { return k[0] == rowEntry || k[0] == rowHandle }

// probe calls fn with the bits of a key until it returns false, and says whether it never did.
func (f *filter) probe(k []byte, fn func(word *uint64, bit uint64) bool) bool {
	h := maphash.Bytes(f.seed, k)
	for range filterProbes {
		at := h % filterBits
		if !fn(&f.bits[at/64], 1<<(at%64)) {
			return false
		}
		h = h>>25 | h<<39
		h *= 0x9e3779b97f4a7c15
	}
	return true
}

func (f *filter) add(k []byte) {
	f.probe(k, func(word *uint64, bit uint64) bool { *word |= bit; return true })
}

func (f *filter) has(k []byte) bool {
	return f.probe(k, func(word *uint64, bit uint64) bool { return *word&bit != 0 })
}
