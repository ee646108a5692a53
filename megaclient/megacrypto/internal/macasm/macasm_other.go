//go:build !amd64 || purego

package macasm

const unavailable = "macasm: not in this build"

// Available tells whether this build and this processor have the instructions: no. Nothing else of this
// package may be called.
func Available() bool { return false }

// Expand must not be called.
func (k *Keys) Expand(*[BlockSize]byte) { panic(unavailable) }

// Fold must not be called.
func (k *Keys) Fold(*[BlockSize]byte, []byte) { panic(unavailable) }

// Advance must not be called.
func (b *Batch) Advance(*Keys, int) { panic(unavailable) }
