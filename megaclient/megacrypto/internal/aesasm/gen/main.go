// Command gen writes the assembly of package aesasm. It is a module of its own, so that the program
// does not depend on the generator.
package main

import . "github.com/mmcloughlin/avo/build"

const (
	rounds      = 10 // of AES-128
	block       = 16
	lanes       = 8
	sliceHeader = 24 // bytes of a []byte, its address first
)

func main() {
	ConstraintExpr("amd64,!purego")
	expand()
	for n := 1; n <= lanes; n++ {
		advance(n)
	}
	ctr()
	ghash()
	ghashEach()
	Generate()
}
