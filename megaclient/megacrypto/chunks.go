package megacrypto

// MEGA cuts a file into chunks of 128 KiB, 256 KiB, … 1 MiB, and 1 MiB from then on; each has a MAC of
// its own, and pieces of an upload begin and end on their borders (PROTOCOL 4.3):
//
//	chunk   0        1        2       3        4        5        6        7         8 …
//	start   0   131072   393216  786432  1310720  1966080  2752512  3670016   4718592 …
//
// Beyond the eighth chunk the borders are whole MiB plus a half.
const (
	chunkStep    = 128 << 10 // the first chunk, and by how much each of the next seven is longer
	chunkMax     = 1 << 20
	growingCount = 8                                                 // chunks until the size stops growing
	growingEnd   = chunkStep * growingCount * (growingCount + 1) / 2 // where they end: 4718592
)

// ChunkIndex gives the number of the chunk that holds the byte at pos, in [0, ∞).
func ChunkIndex(pos int64) int {
	if pos >= growingEnd {
		return growingCount + int((pos-growingEnd)/chunkMax)
	}
	i := 0
	for chunkStart(i+1) <= pos {
		i++
	}
	return i
}

// ChunkBounds gives the bytes [start, end) of chunk i in a file of the given size. A chunk behind the
// file's end is empty, at the end.
func ChunkBounds(i int, size int64) (start, end int64) {
	return min(chunkStart(i), size), min(chunkStart(i+1), size)
}

// ChunkCount gives the number of chunks of a file of the given size; an empty file has none.
func ChunkCount(size int64) int {
	if size <= 0 {
		return 0
	}
	return ChunkIndex(size-1) + 1
}

func chunkStart(i int) int64 {
	if i > growingCount {
		return growingEnd + int64(i-growingCount)*chunkMax
	}
	return chunkStep * int64(i) * int64(i+1) / 2
}
