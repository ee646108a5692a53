package cache

import (
	"encoding/binary"
	"sync"

	"github.com/zeebo/blake3"
)

// What a checksum is of: the first byte that goes in, so that no record passes for one of another kind.
const (
	kindUnit   = 'u'
	kindChunk  = 'c'
	kindHeader = 'h'
)

// sums makes the checksums of everything on disk: BLAKE3 under a key derived from the cache's, over
// what it is, whose, which, and the bytes themselves.
type sums struct{ pool sync.Pool }

type hasher struct {
	h   *blake3.Hasher
	pre [25]byte
	out [32]byte
}

func newSums(key [32]byte) *sums {
	var derived [32]byte
	blake3.DeriveKey("megadisk cache v1: checksums", key[:], derived[:])
	return &sums{sync.Pool{New: func() any { return &hasher{h: newHasher(derived)} }}}
}

func (s *sums) sum(kind byte, name id, index int64, data []byte) (sum [sumSize]byte) {
	h := s.pool.Get().(*hasher)
	defer s.pool.Put(h)
	h.h.Reset()
	h.pre[0] = kind
	copy(h.pre[1:], name[:])
	binary.LittleEndian.PutUint64(h.pre[17:], uint64(index))
	_, _ = h.h.Write(h.pre[:])
	_, _ = h.h.Write(data)
	return [sumSize]byte(h.h.Sum(h.out[:0])[:sumSize])
}
