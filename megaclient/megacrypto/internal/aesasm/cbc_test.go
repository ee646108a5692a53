package aesasm_test

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto/internal/aesasm"
)

func needAssembly(t testing.TB) {
	t.Helper()
	if !aesasm.Available() {
		t.Skip("NO AES ASSEMBLY in this build or on this processor: its tests are SKIPPED")
	}
}

// noise is content that differs from place to place and is the same in each run.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

// chain is what a lane must come to: the last block of the standard library's CBC.
func chain(t testing.TB, key, x [16]byte, data []byte) [16]byte {
	t.Helper()
	block, err := aes.NewCipher(key[:])
	require.NoError(t, err)
	out := make([]byte, len(data))
	cipher.NewCBCEncrypter(block, x[:]).CryptBlocks(out, data)
	return [16]byte(out[len(out)-16:])
}

// The key and the round keys of FIPS 197, appendix A.1.
func TestExpandKnownAnswer(t *testing.T) {
	needAssembly(t)
	key := [16]byte{0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c}
	var k aesasm.Keys
	k.Expand(&key)
	for i, want := range []string{
		"2b7e151628aed2a6abf7158809cf4f3c", "a0fafe1788542cb123a339392a6c7605", "f2c295f27a96b9435935807a7359f67f",
		"3d80477d4716fe3e1e237e446d7a883b", "ef44a541a8525b7fb671253bdb0bad00", "d4d1c6f87c839d87caf2b8bc11f915bc",
		"6d88a37a110b3efddbf98641ca0093fd", "4e54f70e5f5fc9f384a64fb24ea6dc4f", "ead27321b58dbad2312bf5607f8d292f",
		"ac7766f319fadc2128d12941575c006e", "d014f9a8c9ee2589e13f0cc8b6630ca6",
	} {
		require.Equal(t, want, fmt.Sprintf("%x", k[16*i:16*i+16]), "round key %d", i)
	}
}

func TestAdvanceIsCBC(t *testing.T) {
	needAssembly(t)
	for n := 1; n <= aesasm.Lanes; n++ {
		for _, blocks := range []int{1, 2, 3, 7, 64, 2047, 2048, 2049, 4097} {
			var k aesasm.Keys
			key := [16]byte(noise(uint64(n*blocks), 16))
			k.Expand(&key)
			var b aesasm.Batch
			var want [aesasm.Lanes][16]byte
			for i := range aesasm.Lanes {
				b.X[i] = [16]byte(noise(uint64(100+i), 16))
				want[i] = b.X[i]
				if i < n {
					data := noise(uint64(i), i+16*blocks+i)[i:] // not aligned, and some left over in all but one lane
					b.Data[i] = data
					want[i] = chain(t, key, b.X[i], data[:16*blocks])
				}
			}
			alone := b.X[0]
			k.Fold(&alone, b.Data[0])
			require.Equal(t, want[0], alone, "%d blocks, alone", blocks)
			b.Advance(&k, n)
			require.Equal(t, want, b.X, "%d lanes, %d blocks", n, blocks)
			for i := range n {
				require.Len(t, b.Data[i], i)
			}
		}
	}
}

// Nothing moves while a lane has no whole block.
func TestAdvanceWithoutBlocks(t *testing.T) {
	needAssembly(t)
	var k aesasm.Keys
	b := aesasm.Batch{Data: [aesasm.Lanes][]byte{make([]byte, 15), make([]byte, 64)}}
	before := b.X
	b.Advance(&k, 2)
	require.Equal(t, before, b.X)
	require.Len(t, b.Data[1], 64)
}

func BenchmarkAdvance(b *testing.B) {
	needAssembly(b)
	var k aesasm.Keys
	const size = 1 << 20
	data := noise(1, aesasm.Lanes*size)
	for n := 1; n <= aesasm.Lanes; n++ {
		b.Run(fmt.Sprintf("lanes=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n * size))
			for b.Loop() {
				var batch aesasm.Batch
				for i := range n {
					batch.Data[i] = data[i*size : (i+1)*size]
				}
				batch.Advance(&k, n)
			}
		})
	}
}
