// Package aesasm is the cryptography of content that the standard library has no fast enough way for, with the
// processor's AES and carry-less multiplication.
//
// # Several chains at once
//
// CBC-MAC is a chain: a block can't be encrypted before the one in front of it, so with a single chunk a
// processor that could begin one or two rounds of AES in each cycle waits three or four cycles for
// each. The chains of other chunks have nothing to do with it, and fill that time:
//
//	chunk 0   round   round   round   …
//	chunk 1    round   round   round   …
//	   ⋮         ⋮
//	chunk 7        round   round   round   …
//
// # Four blocks in one instruction
//
// The blocks of counter mode, and the products of GHASH, don't wait for each other. A register of 512 bits holds four, and
// eight registers are under way, which makes a group.
//
// The assembly is generated (gen, a module of its own), and takes the same time for every key and content.
// Where Available is false there is only the caller's portable way, and where Wide is, for the wide ones.
package aesasm

//go:generate sh -c "cd gen && go run . -pkg aesasm -out ../aesasm_amd64.s -stubs ../stubs_amd64.go"

const (
	// Lanes is how many chains can advance at once.
	Lanes = 8
	// BlockSize is that of AES.
	BlockSize = 16
	// GroupSize is the bytes that CTR takes at once.
	GroupSize = 512
)

// Keys is an expanded key: the eleven round keys of AES-128.
type Keys [11 * BlockSize]byte

// Batch is a number of chains under one key, in lanes from 0 on.
type Batch struct {
	X    [Lanes][BlockSize]byte // where each chain stands
	Data [Lanes][]byte          // what comes next in it
}

// Powers is a key of GHASH, as it is multiplied with: its 32nd power first, itself last.
type Powers [GroupSize / BlockSize][BlockSize]byte
