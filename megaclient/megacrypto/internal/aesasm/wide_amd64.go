//go:build amd64 && !purego

package aesasm

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/cpu"
)

var wide = available && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ &&
	cpu.X86.HasAVX512VAES && cpu.X86.HasAVX512VPCLMULQDQ

// Wide tells whether this build and this processor have the wide instructions. Where it is false
// CTR may not be called, and no method of Powers.
func Wide() bool { return wide }

// wideStretch is how many groups go by between two points at which the goroutine can be stopped.
const wideStretch = 1024

// CTR XORs src to dst with the key stream of counter mode from block nonce ‖ counter on, the counter big-endian. Their
// length is a multiple of GroupSize; they are the same or don't overlap.
func (k *Keys) CTR(dst, src []byte, nonce [8]byte, counter uint64) {
	var start [BlockSize]byte
	copy(start[:], nonce[:])
	for len(src) > 0 {
		binary.LittleEndian.PutUint64(start[8:], counter)
		groups := min(len(src)/GroupSize, wideStretch)
		n := groups * GroupSize
		ctr(k.bytes(), unsafe.SliceData(dst[:n]), unsafe.SliceData(src), &start, groups)
		dst, src, counter = dst[n:], src[n:], counter+uint64(n/BlockSize)
	}
}

// Expand makes the powers of a hash key.
func (p *Powers) Expand(key *[BlockSize]byte) {
	last := len(p) - 1
	p[last] = multiplier(*key)
	for power, i := *key, last-1; i >= 0; i-- {
		var next [BlockSize]byte
		ghashEach(&p[last], &next, &power[0], 1)
		power = next
		p[i] = multiplier(power)
	}
}

// multiplier turns a hash key round, and moves it by one place (gen/ghash.go).
func multiplier(key [BlockSize]byte) (m [BlockSize]byte) {
	high, low := binary.BigEndian.Uint64(key[:8]), binary.BigEndian.Uint64(key[8:])
	beyond := -(high >> 63) // all ones or all zeros
	high, low = high<<1|low>>63, low<<1
	binary.LittleEndian.PutUint64(m[:8], low^beyond&1)
	binary.LittleEndian.PutUint64(m[8:], high^beyond&(0xc2<<56))
	return m
}

// Fold takes the whole blocks of data into the hash y.
func (p *Powers) Fold(y *[BlockSize]byte, data []byte) {
	for len(data) >= GroupSize {
		groups := min(len(data)/GroupSize, wideStretch)
		ghash((*[GroupSize]byte)(unsafe.Pointer(p)), y, &data[0], groups)
		data = data[groups*GroupSize:]
	}
	if blocks := len(data) / BlockSize; blocks > 0 {
		ghashEach(&p[len(p)-1], y, &data[0], blocks)
	}
}
