package megacrypto_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	mc "megadisk/megaclient/megacrypto"
)

// referenceMAC is a chunk's MAC by the standard library's CBC: the last block, from N‖N on.
func referenceMAC(k mc.FileKey, plain []byte) mc.ChunkMAC {
	padded := append(plain[:len(plain):len(plain)], make([]byte, -len(plain)&15)...)
	iv := append(k.Nonce[:len(k.Nonce):len(k.Nonce)], k.Nonce[:]...)
	if len(padded) == 0 {
		return mc.ChunkMAC(iv)
	}
	block, err := aes.NewCipher(k.Key[:])
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(padded))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, padded)
	return mc.ChunkMAC(out[len(out)-16:])
}

func noise(seed uint64, n int) []byte {
	var s [32]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(s).Read(b)
	return b
}

// eachWay runs a test with the assembly, where there is one, and without.
func eachWay(t *testing.T, k mc.FileKey, run func(t *testing.T, c *mc.Cipher)) {
	c := mc.NewCipher(k)
	t.Run("assembly", func(t *testing.T) {
		if !c.Fast() {
			t.Skip("NO AES ASSEMBLY in this build or on this processor: only the portable way is tested")
		}
		run(t, c)
	})
	t.Run("portable", func(t *testing.T) { run(t, c.Portable()) })
}

func TestChunkMACs(t *testing.T) {
	k := mc.NewFileKey()
	sizes := map[string]func(i int) int{
		"equal":         func(int) int { return 4096 },
		"growing":       func(i int) int { return 16 * (i + 1) },
		"shrinking":     func(i int) int { return 16 * (40 - i) },
		"tails":         func(i int) int { return 1000 + i },
		"some empty":    func(i int) int { return i % 3 * 100 },
		"short":         func(i int) int { return i % 16 },
		"one long":      func(i int) int { return 20 + 70000*(i%9/8) },
		"as MEGA's own": func(i int) int { return min(i+1, 8) * 128 << 10 >> 3 },
	}
	eachWay(t, k, func(t *testing.T, c *mc.Cipher) {
		for name, size := range sizes {
			for n := range 20 {
				var chunks [][]byte
				want := []mc.ChunkMAC{{1}}
				for i := range n {
					chunk := noise(uint64(i), i+size(i))[i:]
					chunks = append(chunks, chunk)
					want = append(want, referenceMAC(k, chunk))
					require.Equal(t, want[i+1], c.ChunkMAC(chunk), "%s: %d bytes", name, len(chunk))
				}
				require.Equal(t, want, c.ChunkMACs([]mc.ChunkMAC{{1}}, chunks), "%s: %d chunks", name, n)
			}
		}
		require.Empty(t, c.ChunkMACs(nil, nil))
	})
}

// Writers of two files, in any order, take pieces of any lengths.
func TestAdvanceMACsTakesAnySplit(t *testing.T) {
	keys := []mc.FileKey{mc.NewFileKey(), mc.NewFileKey()}
	ciphers := []*mc.Cipher{mc.NewCipher(keys[0]), mc.NewCipher(keys[1])}
	content := noise(7, 2000)
	rapid.Check(t, func(t *rapid.T) {
		type chunk struct {
			key   mc.FileKey
			plain []byte
		}
		var (
			chunks []chunk
			ws     []*mc.MACWriter
			rest   [][]byte
		)
		for range rapid.IntRange(0, 12).Draw(t, "writers") {
			file := rapid.IntRange(0, 1).Draw(t, "file")
			c := ciphers[file]
			if rapid.Bool().Draw(t, "portable") {
				c = c.Portable()
			}
			plain := content[rapid.IntRange(0, 100).Draw(t, "from"):rapid.IntRange(100, len(content)).Draw(t, "to")]
			chunks = append(chunks, chunk{keys[file], plain})
			ws, rest = append(ws, c.NewMAC()), append(rest, plain)
		}
		for range 4 {
			pieces := make([][]byte, len(ws))
			for i := range ws {
				n := rapid.IntRange(0, len(rest[i])).Draw(t, "n")
				pieces[i], rest[i] = rest[i][:n], rest[i][n:]
			}
			mc.AdvanceMACs(ws, pieces)
			for i, w := range ws {
				done := len(chunks[i].plain) - len(rest[i])
				require.Equal(t, referenceMAC(chunks[i].key, chunks[i].plain[:done]), w.Sum())
			}
		}
	})
}

// FuzzChunkMACs cuts content into chunks, and holds all ways equal.
func FuzzChunkMACs(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmn"), []byte("some content that is longer than a block"), []byte{3, 16, 0, 17})
	f.Add([]byte{}, make([]byte, 999), []byte{100, 100, 100, 100, 100, 100, 100, 100, 100})
	f.Fuzz(func(t *testing.T, secret, content, cuts []byte) {
		var k mc.FileKey
		copy(k.Nonce[:], secret[copy(k.Key[:], secret):])
		c := mc.NewCipher(k)
		var (
			chunks, first, second [][]byte
			want                  []mc.ChunkMAC
			ws                    []*mc.MACWriter
		)
		for i := 0; i <= len(cuts); i++ {
			n := len(content)
			if i < len(cuts) {
				n = min(n, int(cuts[i]))
			}
			chunk := content[:n]
			content = content[n:]
			chunks, want = append(chunks, chunk), append(want, referenceMAC(k, chunk))
			ws, first, second = append(ws, c.NewMAC()), append(first, chunk[:n/3]), append(second, chunk[n/3:])
		}
		require.Equal(t, want, c.ChunkMACs(nil, chunks))
		require.Equal(t, want, c.Portable().ChunkMACs(nil, chunks))
		mc.AdvanceMACs(ws, first)
		mc.AdvanceMACs(ws, second)
		for i, w := range ws {
			require.Equal(t, want[i], w.Sum())
		}
	})
}

// One cipher serves any number of goroutines.
func TestChunkMACsConcurrently(t *testing.T) {
	k := mc.NewFileKey()
	c := mc.NewCipher(k)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			chunks := [][]byte{noise(uint64(g), 5000), noise(uint64(g)+100, 300+g), noise(uint64(g)+200, 7000)}
			for range 20 {
				macs := c.ChunkMACs(nil, chunks)
				for i, chunk := range chunks {
					if macs[i] != referenceMAC(k, chunk) {
						t.Errorf("goroutine %d: a MAC is wrong", g)
					}
				}
			}
		})
	}
	group.Wait()
}

func TestMACsDoNotAllocate(t *testing.T) {
	eachWay(t, mc.NewFileKey(), func(t *testing.T, c *mc.Cipher) {
		var (
			dst    []mc.ChunkMAC
			chunks [][]byte
			ws     []*mc.MACWriter
		)
		for i := range 11 {
			chunks, ws = append(chunks, make([]byte, 1001+100*i)), append(ws, c.NewMAC())
		}
		require.Zero(t, testing.AllocsPerRun(100, func() { dst = c.ChunkMACs(dst[:0], chunks) }))
		require.Zero(t, testing.AllocsPerRun(100, func() { mc.AdvanceMACs(ws, chunks) }))
		require.Zero(t, testing.AllocsPerRun(100, func() { dst[0] = ws[0].Sum() }))
	})
}

func ExampleCipher_ChunkMACs() {
	k, _ := mc.UnpackFileKey(make([]byte, 32))
	c := mc.NewCipher(k)
	file := make([]byte, 500_000)
	var chunks [][]byte
	for i := range mc.ChunkCount(int64(len(file))) {
		start, end := mc.ChunkBounds(i, int64(len(file)))
		chunks = append(chunks, file[start:end])
	}
	macs := c.ChunkMACs(nil, chunks)
	fmt.Println(len(macs), macs[1] == c.ChunkMAC(chunks[1]))
	// Output: 3 true
}
