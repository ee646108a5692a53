package aesasm_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto/internal/aesasm"
)

func needWide(t testing.TB) {
	t.Helper()
	if !aesasm.Wide() {
		t.Skip("NO WIDE ASSEMBLY in this build or on this processor: its tests are SKIPPED")
	}
}

// Counters carry over 8, 16, 32, 40 and 63 bits.
func TestWideCTRIsTheLibrarys(t *testing.T) {
	needWide(t)
	for i, groups := range []int{1, 2, 3, 8, 1023, 1024, 1025, 2049} {
		for _, counter := range []uint64{0, 250, 1<<16 - 1, 1<<32 - 33, 1<<32 - 1, 1<<40 - 2, 1<<63 - 31} {
			seed := uint64(i)<<8 + counter
			key, nonce := [16]byte(noise(seed, 16)), [8]byte(noise(seed+1, 8))
			skip := i % 7 // not aligned
			n := groups * aesasm.GroupSize
			src, dst := noise(seed+2, skip+n)[skip:], make([]byte, n+skip)[skip:]
			var k aesasm.Keys
			k.Expand(&key)
			k.CTR(dst, src, nonce, counter)
			block, err := aes.NewCipher(key[:])
			require.NoError(t, err)
			want := make([]byte, n)
			cipher.NewCTR(block, binary.BigEndian.AppendUint64(nonce[:], counter)).XORKeyStream(want, src)
			require.True(t, bytes.Equal(want, dst), "%d groups from %x on", groups, counter)
			k.CTR(dst, dst, nonce, counter) // in place
			require.True(t, bytes.Equal(src, dst))
		}
	}
}

// GHASH with a key under which E(0) is known is what the standard library's GCM makes of data that isn't encrypted.
func TestFoldIsGHASH(t *testing.T) {
	needWide(t)
	for i, blocks := range []int{0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 1000, 32 * 1024, 32*1025 + 1} {
		block, err := aes.NewCipher(noise(uint64(i), 16))
		require.NoError(t, err)
		gcm, err := cipher.NewGCM(block)
		require.NoError(t, err)
		data, nonce := noise(uint64(i+1), 3+16*blocks)[3:], noise(uint64(i+2), 12)

		var key, y, mask [16]byte
		block.Encrypt(key[:], key[:])
		var p aesasm.Powers
		p.Expand(&key)
		p.Fold(&y, data)
		p.Fold(&y, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(len(data))*8), 0))
		block.Encrypt(mask[:], binary.BigEndian.AppendUint32(nonce[:12:12], 1))
		for j := range y {
			y[j] ^= mask[j]
		}
		require.Equal(t, gcm.Seal(nil, nonce, nil, data), y[:], "%d blocks", blocks)
	}
}

// The multiplication of SP 800-38D, bit by bit, of keys that have all and few bits.
func TestFoldByTheBook(t *testing.T) {
	needWide(t)
	for i := range uint64(300) {
		key, data := [16]byte(noise(i, 16)), noise(i+1000, 16)
		if i < 128 {
			key = [16]byte{}
			key[i/8] = 0x80 >> (i % 8)
		}
		var p aesasm.Powers
		p.Expand(&key)
		var y [16]byte
		p.Fold(&y, data)
		require.Equal(t, multiplied([16]byte(data), key), y, "%x", key)
	}
}

func multiplied(x, v [16]byte) (z [16]byte) {
	for i := range 128 {
		if x[i/8]&(0x80>>(i%8)) != 0 {
			for j := range z {
				z[j] ^= v[j]
			}
		}
		high, low := binary.BigEndian.Uint64(v[:8]), binary.BigEndian.Uint64(v[8:])
		beyond := low & 1
		low = low>>1 | high<<63
		high = high>>1 ^ beyond*0xe1<<56
		binary.BigEndian.PutUint64(v[:8], high)
		binary.BigEndian.PutUint64(v[8:], low)
	}
	return z
}

func BenchmarkWide(b *testing.B) {
	needWide(b)
	var k aesasm.Keys
	var p aesasm.Powers
	p.Expand((*[16]byte)(noise(7, 16)))
	for _, size := range []int{16 << 10, 128 << 10, 1 << 20, 64 << 20} {
		data := noise(1, size)
		b.Run(fmt.Sprintf("CTR/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				k.CTR(data, data, [8]byte{}, 0)
			}
		})
		b.Run(fmt.Sprintf("GHASH/%d", size), func(b *testing.B) {
			var y [16]byte
			b.SetBytes(int64(size))
			for b.Loop() {
				p.Fold(&y, data)
			}
		})
	}
}
