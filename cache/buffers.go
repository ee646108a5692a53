package cache

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// buffers is memory that was never used, from which units are cut in the order in which they lie in it. It asks the kernel for
// huge pages: what comes from a disk past the page cache goes to each page by itself otherwise, and a disk that brings
// 3 GB/s then brings 1.2.
type buffers struct {
	rest []byte
	made int // units in all
}

const (
	hugePage  = 2 << 20
	slabUnits = 8 * hugePage / UnitSize // as many are made ready at a time; the kernel gives the pages when they are written to
)

// take gives a buffer of a unit's size. There won't be more than most.
func (b *buffers) take(most int) []byte {
	if len(b.rest) == 0 {
		n := max(1, min(slabUnits, most-b.made))
		b.rest = slab(n * UnitSize)
		b.made += n
	}
	buf := b.rest[:UnitSize:UnitSize]
	b.rest = b.rest[UnitSize:]
	return buf
}

// slab is n bytes that begin with a huge page.
func slab(n int) []byte {
	b := make([]byte, n+hugePage-pageSize)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (hugePage - 1)
	b = b[skip:][:n:n]
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // where there are none, all is as before
	return b
}
