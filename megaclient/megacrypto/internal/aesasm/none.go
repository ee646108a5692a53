//go:build !amd64 || purego

package aesasm

const unavailable = "aesasm: not in this build"

// Available tells whether this build and this processor have the instructions: no. Nothing else of this
// package may be called.
func Available() bool { return false }

// Wide tells whether they have the wide ones: no.
func Wide() bool { return false }

// Expand must not be called.
func (k *Keys) Expand(*[BlockSize]byte) { panic(unavailable) }

// Fold must not be called.
func (k *Keys) Fold(*[BlockSize]byte, []byte) { panic(unavailable) }

// CTR must not be called.
func (k *Keys) CTR(_, _ []byte, _ [8]byte, _ uint64) { panic(unavailable) }

// Advance must not be called.
func (b *Batch) Advance(*Keys, int) { panic(unavailable) }

// Expand must not be called.
func (p *Powers) Expand(*[BlockSize]byte) { panic(unavailable) }

// Fold must not be called.
func (p *Powers) Fold(*[BlockSize]byte, []byte) { panic(unavailable) }
