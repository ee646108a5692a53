package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The multiplication of GHASH (NIST SP 800-38D, 6.3) counts bits from the left. Turned round, block and key become
// numbers whose carry-less product is the right one turned round, but for one place, which the powers of the
// key have been moved by beforehand. What is beyond 128 bits is taken back in two steps of 64, each a product
// with the constant below (Gueron and Kounavis, Intel Carry-Less Multiplication Instruction and its Usage for Computing
// the GCM Mode, algorithm 5).
var (
	polynomial = quads("polynomial", 0xc200000000000000)
	blockOrder = quads("blockOrder", 0x08090a0b0c0d0e0f, 0x0001020304050607)
)

// product is the sum of products of 128 bits, not yet taken back: low, middle and high, where middle stands 64 bits above low.
type product struct{ low, middle, high VecVirtual }

func newProduct(register func() VecVirtual) product {
	return product{register(), register(), register()}
}

// multiply sets p to block times power.
func (p product) multiply(power Op, block, t VecVirtual) {
	VPCLMULQDQ(U8(0x00), power, block, p.low)
	VPCLMULQDQ(U8(0x11), power, block, p.high)
	VPCLMULQDQ(U8(0x01), power, block, p.middle)
	VPCLMULQDQ(U8(0x10), power, block, t)
	VPXORQ(t, p.middle, p.middle)
}

// add adds another product.
func (p product) add(q product) {
	VPXORQ(q.low, p.low, p.low)
	VPXORQ(q.middle, p.middle, p.middle)
	VPXORQ(q.high, p.high, p.high)
}

// reduce takes p back to 128 bits, in high.
func (p product) reduce(poly, t VecVirtual) {
	VPSLLDQ(U8(8), p.middle, t)
	VPXORQ(t, p.low, p.low)
	VPSRLDQ(U8(8), p.middle, t)
	VPXORQ(t, p.high, p.high)
	for range 2 {
		VPCLMULQDQ(U8(0x00), poly, p.low, t)
		VPSHUFD(U8(0x4e), p.low, p.low)
		VPXORQ(t, p.low, p.low)
	}
	VPXORQ(p.low, p.high, p.high)
}

// ghash takes 32 blocks at once into the hash: the first of them, with the hash so far, times the key's 32nd power, and so on
// to the last times the key itself.
func ghash() {
	TEXT("ghash", NOSPLIT, "func(powers *[512]byte, y *[16]byte, data *byte, groups int)")
	Doc("ghash takes so many groups of 512 bytes, at least one, into y.")
	Pragma("noescape")
	powers := Mem{Base: Load(Param("powers"), GP64())}
	yAt := Mem{Base: Load(Param("y"), GP64())}
	data := Mem{Base: Load(Param("data"), GP64())}
	groups := Load(Param("groups"), GP64())

	zmm := func() VecVirtual { return ZMM() }
	y, order, poly, t := ZMM(), ZMM(), ZMM(), ZMM()
	VBROADCASTI64X2(blockOrder, order)
	VPBROADCASTQ(polynomial, poly)
	VMOVDQU(yAt, y.AsX()) // and zero in the rest
	VPSHUFB(order, y, y)
	Label("ghashLoop")
	sum, next := newProduct(zmm), newProduct(zmm)
	for i := range group {
		blocks := ZMM()
		VMOVDQU64(data.Offset(wide*i), blocks)
		VPSHUFB(order, blocks, blocks)
		if i == 0 {
			VPXORQ(y, blocks, blocks)
			sum.multiply(powers, blocks, t)
			continue
		}
		next.multiply(powers.Offset(wide*i), blocks, t)
		sum.add(next)
	}
	sum.reduce(poly, t)
	half, quarter := YMM(), XMM()
	VEXTRACTI64X4(U8(1), sum.high, half)
	VPXORQ(sum.high.AsY(), half, half)
	VEXTRACTI64X2(U8(1), half, quarter)
	VPXORQ(half.AsX(), quarter, y.AsX())
	ADDQ(U32(group*wide), data.Base)
	DECQ(groups)
	JNZ(LabelRef("ghashLoop"))
	VPSHUFB(order.AsX(), y.AsX(), y.AsX())
	VMOVDQU(y.AsX(), yAt)
	VZEROUPPER()
	RET()
}

// ghashEach is for what makes no group.
func ghashEach() {
	TEXT("ghashEach", NOSPLIT, "func(power, y *[16]byte, data *byte, blocks int)")
	Doc("ghashEach takes so many blocks, at least one, into y. power is the key's first.")
	Pragma("noescape")
	power := Mem{Base: Load(Param("power"), GP64())}
	yAt := Mem{Base: Load(Param("y"), GP64())}
	data := Mem{Base: Load(Param("data"), GP64())}
	blocks := Load(Param("blocks"), GP64())

	xmm := func() VecVirtual { return XMM() }
	key, y, order, poly, t := XMM(), XMM(), XMM(), XMM(), XMM()
	VMOVDQU(power, key)
	VMOVDQU(blockOrder, order)
	VMOVQ(polynomial, poly)
	VMOVDQU(yAt, y)
	VPSHUFB(order, y, y)
	sum := newProduct(xmm)
	Label("ghashEachLoop")
	VMOVDQU(data, t)
	VPSHUFB(order, t, t)
	VPXOR(t, y, y)
	sum.multiply(key, y, t)
	sum.reduce(poly, t)
	VMOVDQA(sum.high, y)
	ADDQ(U8(block), data.Base)
	DECQ(blocks)
	JNZ(LabelRef("ghashEachLoop"))
	VPSHUFB(order, y, y)
	VMOVDQU(y, yAt)
	RET()
}
