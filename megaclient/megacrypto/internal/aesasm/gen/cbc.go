package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// expand is the key schedule of FIPS 197, 5.2, by the instruction that is made for it: it takes the
// same time for every key.
func expand() {
	TEXT("expand", NOSPLIT, "func(keys *[176]byte, key *[16]byte)")
	Doc("expand derives the eleven round keys.")
	Pragma("noescape")
	keys := Mem{Base: Load(Param("keys"), GP64())}
	key := Mem{Base: Load(Param("key"), GP64())}
	k, shifted, word := XMM(), XMM(), XMM()
	VMOVDQU(key, k)
	VMOVDQU(k, keys)
	for i, rcon := range []uint8{0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36} {
		Commentf("Round key %d", i+1)
		VAESKEYGENASSIST(U8(rcon), k, word)
		VPSHUFD(U8(0xff), word, word)
		VPSLLDQ(U8(4), k, shifted) // each word becomes the sum of those before it
		VPXOR(shifted, k, k)
		VPSLLDQ(U8(8), k, shifted)
		VPXOR(shifted, k, k)
		VPXOR(word, k, k)
		VMOVDQU(k, keys.Offset(block*(i+1)))
	}
	RET()
}

// advance is the CBC-MAC of n chains at once. A round takes several cycles until its result is there,
// and a new one can begin in each: n chains, one behind the other, fill the time.
//
// Within a chain, E(x ^ data) begins with data ^ k0 and ends with k10. As the last round's key is only
// XORed to what comes out, the next block's beginning goes in there, and the way from block to block
// is the ten rounds and nothing else:
//
//	s = x ^ k0 ^ data[0];  s = last(rounds1to9(s), k10 ^ k0 ^ data[i]) for i = 1, 2, …;  x = last(rounds1to9(s), k10)
func advance(n int) {
	TEXT(fmt.Sprintf("advance%d", n), NOSPLIT, "func(keys *[176]byte, x *[16]byte, data *[]byte, blocks int)")
	Doc(fmt.Sprintf("advance%d takes so many blocks, at least one, of %d data into %d x: those given,", n, n, n),
		"and what follows them in memory.")
	Pragma("noescape")
	keys := Mem{Base: Load(Param("keys"), GP64())}
	x := Mem{Base: Load(Param("x"), GP64())}
	headers := Mem{Base: Load(Param("data"), GP64())}
	end := Load(Param("blocks"), GP64())
	SHLQ(U8(4), end)

	data, s := make([]Register, n), make([]VecVirtual, n)
	t, between := XMM(), XMM()
	VMOVDQU(keys, between)
	for i := range n {
		data[i], s[i] = GP64(), XMM()
		MOVQ(headers.Offset(sliceHeader*i), data[i])
		VPXOR(Mem{Base: data[i]}, between, t)
		VPXOR(x.Offset(block*i), t, s[i])
	}
	VPXOR(keys.Offset(block*rounds), between, between)

	// As many round keys as there are registers stay in them.
	held := make([]VecVirtual, min(rounds-1, 16-n-2))
	for i := range held {
		held[i] = XMM()
		VMOVDQU(keys.Offset(block*(i+1)), held[i])
	}
	inner := func() {
		for r := 1; r < rounds; r++ {
			key := t
			if r <= len(held) {
				key = held[r-1]
			} else {
				VMOVDQU(keys.Offset(block*r), key)
			}
			for i := range n {
				VAESENC(key, s[i], s[i])
			}
		}
	}
	label := func(name string) string { return fmt.Sprintf("%s%d", name, n) }
	offset := GP64()
	MOVQ(U32(block), offset)
	JMP(LabelRef(label("check")))
	Label(label("loop"))
	inner()
	for i := range n {
		VPXOR(Mem{Base: data[i], Index: offset, Scale: 1}, between, t)
		VAESENCLAST(t, s[i], s[i])
	}
	ADDQ(U8(block), offset)
	Label(label("check"))
	CMPQ(offset, end)
	JB(LabelRef(label("loop")))
	inner()
	VMOVDQU(keys.Offset(block*rounds), t)
	for i := range n {
		VAESENCLAST(t, s[i], s[i])
		VMOVDQU(s[i], x.Offset(block*i))
	}
	RET()
}
