package cache

import (
	"encoding/binary"
	"errors"

	"megadisk/megaclient/megacrypto"
)

// The layout of a content file, written down in FORMAT.md: ciphertext at its own offsets, then, from
// the next page on, the index, and the header in the file's last bytes, where it is found without
// knowing the content's size:
//
//	ciphertext … | one record a unit | one record a chunk | header
const (
	formatDir = "v1" // folder of this version, below Options.Dir

	// First bytes of a header, which say how the units' records are made. The older ones are still read, and
	// added to; new files get the newer.
	formatMark1 = "mdcache1" // keyed BLAKE3
	formatMark2 = "mdcache2" // encrypted GMAC

	pageSize    = 4096
	headerSize  = 64
	unitRecord  = 16 // checksum of the unit; all zero: absent
	chunkRecord = 24 // MAC, keyed BLAKE3 of it; all zero: not known
	sumSize     = 16
)

// Flags of a header.
const (
	flagVerified    = 1 << iota // all chunk MACs together fitted the key's
	flagSuspect                 // they didn't, once
	flagQuarantined             // they didn't, twice
	flagAccepted                // its owner reads it all the same

	// flagsAlone are worth keeping even without any content.
	flagsAlone = flagSuspect | flagQuarantined | flagAccepted
)

var (
	errCorrupt = errors.New("checksum does not fit")
	errAbsent  = errors.New("not on disk")
	errHeader  = errors.New("not a cache file of this content")
)

// layout is where things stand in the file of a content of a given size.
type layout struct {
	size   int64 // of the content
	units  int64
	chunks int64
}

func layoutOf(size int64) layout {
	return layout{size, unitEnd(size), int64(megacrypto.ChunkCount(size))}
}

func (l layout) index() int64        { return roundUp(l.size, pageSize) }
func (l layout) unit(u int64) int64  { return l.index() + u*unitRecord }
func (l layout) chunk(i int64) int64 { return l.unit(l.units) + i*chunkRecord }
func (l layout) header() int64       { return l.chunk(l.chunks) }
func (l layout) fileSize() int64     { return l.header() + headerSize }

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// header is what is said of a content as a whole.
type header struct {
	old   bool // formatMark1
	flags uint32
	size  int64
	tag   [16]byte // of the key's MAC; zero: not known yet
}

// encodeHeader gives the bytes of a header of content name.
func (s *sums) encodeHeader(name id, h header) []byte {
	b := make([]byte, headerSize)
	copy(b, formatMark2)
	if h.old {
		copy(b, formatMark1)
	}
	binary.LittleEndian.PutUint32(b[8:], h.flags)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.size))
	copy(b[24:], h.tag[:])
	sum := s.sum(kindHeader, name, 0, b[:headerSize-sumSize])
	copy(b[headerSize-sumSize:], sum[:])
	return b
}

// decodeHeader is its reverse; it believes only what was written under the same key and name.
func (s *sums) decodeHeader(name id, b []byte) (header, error) {
	if len(b) != headerSize {
		return header{}, errHeader
	}
	old := string(b[:8]) == formatMark1
	if !old && string(b[:8]) != formatMark2 {
		return header{}, errHeader
	}
	sum := s.sum(kindHeader, name, 0, b[:headerSize-sumSize])
	if sum != [sumSize]byte(b[headerSize-sumSize:]) {
		return header{}, errHeader
	}
	h := header{old: old, flags: binary.LittleEndian.Uint32(b[8:]), size: int64(binary.LittleEndian.Uint64(b[16:]))}
	copy(h.tag[:], b[24:])
	return h, nil
}

// encodeMAC gives the record of a chunk's MAC.
func (s *sums) encodeMAC(name id, chunk int64, mac megacrypto.ChunkMAC) []byte {
	sum := s.sum(kindChunk, name, chunk, mac[:])
	return append(mac[:], sum[:chunkRecord-len(mac)]...)
}

// decodeMAC is its reverse; a record that is wrong is one that isn't there.
func (s *sums) decodeMAC(name id, chunk int64, b []byte) (mac megacrypto.ChunkMAC) {
	got := megacrypto.ChunkMAC(b[:16])
	if string(s.encodeMAC(name, chunk, got)) != string(b) {
		return mac
	}
	return got
}
