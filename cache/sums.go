package cache

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"sync"

	"github.com/zeebo/blake3"

	"megadisk/megaclient/megacrypto"
)

// What a checksum is of: the first byte that goes in, so that no record passes for one of another kind.
const (
	kindUnit   = 'u'
	kindChunk  = 'c'
	kindHeader = 'h'
	kindHead   = 'p' // never on disk: seen.go
)

// sums makes the checksums of everything on disk, under keys derived from the cache's, over what it is, whose, which,
// and the bytes themselves: BLAKE3 for what is short, and for units, which are 128 KiB each, a GMAC, which takes a
// third of the time, encrypted once more. GMAC alone would need that no two bytes are ever checksummed under one
// name, and a server that sends something else the second time could see to it that they are; encrypted, it is a
// hash that nobody can predict under a cipher that nobody can invert, and asks for nothing.
type sums struct {
	pool sync.Pool
	gmac *megacrypto.GMAC
	seal cipher.Block
}

type hasher struct {
	h     *blake3.Hasher
	pre   [25]byte
	out   [32]byte
	nonce [12]byte
	tag   [16]byte
}

func newSums(key [32]byte) *sums {
	var derived, hash, seal [32]byte
	blake3.DeriveKey("megadisk cache v1: checksums", key[:], derived[:])
	blake3.DeriveKey("megadisk cache v1: unit checksums, GMAC", key[:], hash[:])
	blake3.DeriveKey("megadisk cache v1: unit checksums, encryption", key[:], seal[:])
	return &sums{
		pool: sync.Pool{New: func() any { return &hasher{h: newHasher(derived)} }},
		gmac: megacrypto.NewGMAC(hash), seal: newAES(seal),
	}
}

func newAES(key [32]byte) cipher.Block {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	return b
}

func (s *sums) sum(kind byte, name id, index int64, data []byte) (sum [sumSize]byte) {
	h := s.pool.Get().(*hasher)
	defer s.pool.Put(h)
	return h.blake3(kind, name, index, data)
}

func (h *hasher) blake3(kind byte, name id, index int64, data []byte) [sumSize]byte {
	h.h.Reset()
	h.pre[0] = kind
	copy(h.pre[1:], name[:])
	binary.LittleEndian.PutUint64(h.pre[17:], uint64(index))
	_, _ = h.h.Write(h.pre[:])
	_, _ = h.h.Write(data)
	return [sumSize]byte(h.h.Sum(h.out[:0])[:sumSize])
}

// unit makes a unit's record.
func (e *entry) sum(index int64, data []byte) [sumSize]byte {
	if e.old {
		return e.s.sums.sum(kindUnit, e.name, index, data)
	}
	return e.s.sums.unit(e.name, index, data)
}

// unit is the checksum of a unit's ciphertext.
func (s *sums) unit(name id, index int64, data []byte) [sumSize]byte {
	h := s.pool.Get().(*hasher)
	defer s.pool.Put(h)
	which := h.blake3(kindUnit, name, index, nil)
	copy(h.nonce[:], which[:])
	s.gmac.Sum(&h.tag, &h.nonce, data)
	s.seal.Encrypt(h.tag[:], h.tag[:])
	return h.tag
}

// markOf shortens a checksum.
func markOf(sum [sumSize]byte) mark { return max(1, mark(binary.LittleEndian.Uint64(sum[:]))) }

// head is the mark of a part of a unit.
func (s *sums) head(name id, index int64, plain []byte) mark {
	return markOf(s.sum(kindHead, name, index, plain))
}
