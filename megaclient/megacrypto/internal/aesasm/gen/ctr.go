package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	wide  = 64 // bytes of the widest registers: four blocks
	group = 8  // of them at once
)

var (
	firstCounters = quads("firstCounters", 0, 0, 0, 1, 0, 2, 0, 3)
	counterStep   = quads("counterStep", 0, 4)
	counterOrder  = quads("counterOrder", 0x0706050403020100, 0x08090a0b0c0d0e0f)
)

// ctr is AES-128 in counter mode, 32 blocks at once. A counter is kept as the processor adds, and turned into the
// order of its bytes on the way into the cipher; it carries over all of its 64 bits, and the nonce in front of it stays.
func ctr() {
	TEXT("ctr", NOSPLIT, "func(keys *[176]byte, dst, src *byte, start *[16]byte, groups int)")
	Doc("ctr XORs so many groups of 512 bytes, at least one, with the key stream. start is nonce and first counter, the",
		"latter little-endian.")
	Pragma("noescape")
	keys := Mem{Base: Load(Param("keys"), GP64())}
	dst := Mem{Base: Load(Param("dst"), GP64())}
	src := Mem{Base: Load(Param("src"), GP64())}
	start := Mem{Base: Load(Param("start"), GP64())}
	groups := Load(Param("groups"), GP64())

	counter, step, order := ZMM(), ZMM(), ZMM()
	VBROADCASTI64X2(start, counter)
	VPADDQ(firstCounters, counter, counter)
	VBROADCASTI64X2(counterStep, step)
	VBROADCASTI64X2(counterOrder, order)
	var k [rounds + 1]VecVirtual
	for r := range k {
		k[r] = ZMM()
		VBROADCASTI64X2(keys.Offset(block*r), k[r])
	}
	var s [group]VecVirtual
	Label("ctrLoop")
	for i := range s {
		s[i] = ZMM()
		VPSHUFB(order, counter, s[i])
		VPADDQ(step, counter, counter)
		VPXORQ(k[0], s[i], s[i])
	}
	for r := 1; r < rounds; r++ {
		for i := range s {
			VAESENC(k[r], s[i], s[i])
		}
	}
	for i := range s { // the last round ends with its key, and so the content goes in there
		content := ZMM()
		VPXORQ(src.Offset(wide*i), k[rounds], content)
		VAESENCLAST(content, s[i], s[i])
		VMOVDQU64(s[i], dst.Offset(wide*i))
	}
	ADDQ(U32(group*wide), src.Base)
	ADDQ(U32(group*wide), dst.Base)
	DECQ(groups)
	JNZ(LabelRef("ctrLoop"))
	VZEROUPPER()
	RET()
}

// quads puts constants into the program.
func quads(name string, values ...uint64) Mem {
	m := GLOBL(name, NOPTR|RODATA)
	for i, v := range values {
		DATA(8*i, U64(v))
	}
	return m
}
