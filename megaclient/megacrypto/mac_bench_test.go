package megacrypto_test

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

// contest is a number of ways to do a thing, measured in turns, so that whatever else the machine does
// hits all of them. Each is given by its fastest turn.
type contest struct {
	ways []way
}

type way struct {
	name string
	size int // bytes that run works on
	run  func()
	best time.Duration
}

func (c *contest) add(name string, size int, run func()) {
	c.ways = append(c.ways, way{name: name, size: size, run: run})
}

// run reports MB/s for each way, and how many times the first one's that is.
func (c *contest) run(b *testing.B) {
	for b.Loop() {
		for i := range c.ways {
			w := &c.ways[i]
			start := time.Now()
			w.run()
			if d := time.Since(start); w.best == 0 || d < w.best {
				w.best = d
			}
		}
	}
	b.ReportMetric(0, "ns/op") // says nothing here
	rate := func(w way) float64 { return float64(w.size) / w.best.Seconds() / 1e6 }
	for _, w := range c.ways {
		b.ReportMetric(rate(w), w.name+"-MB/s")
		b.ReportMetric(rate(w)/rate(c.ways[0]), w.name+"-x")
	}
}

// BenchmarkMACs compares chunk MACs, one chunk of 1 MiB after the other and several together, with the
// standard library's CBC encryption of 1 MiB.
func BenchmarkMACs(b *testing.B) {
	const size = 1 << 20
	k := mc.NewFileKey()
	c := mc.NewCipher(k)
	block, err := aes.NewCipher(k.Key[:])
	require.NoError(b, err)
	plain, out := noise(1, 8*size), make([]byte, size)
	chunks := slices.Collect(slices.Chunk(plain, size))
	cbc := cipher.NewCBCEncrypter(block, make([]byte, 16))
	var all contest
	all.add("CBC", size, func() { cbc.CryptBlocks(out, chunks[0]) })
	all.add("portable", size, func() { c.Portable().ChunkMAC(chunks[0]) })
	all.add("ChunkMAC", size, func() { c.ChunkMAC(chunks[0]) })
	var dst []mc.ChunkMAC
	for _, n := range []int{2, 3, 4, 5, 6, 7, 8} {
		all.add(fmt.Sprintf("ChunkMACs%d", n), n*size, func() { dst = c.ChunkMACs(dst[:0], chunks[:n]) })
	}
	all.run(b)
}

// BenchmarkWide compares the key stream and GMAC of a unit of 128 KiB with the standard library's.
func BenchmarkWide(b *testing.B) {
	const size = 128 << 10
	c, g, unit := mc.NewCipher(mc.NewFileKey()), mc.NewGMAC([32]byte{}), noise(1, size)
	library, gcm := c.Portable(), g.Portable()
	tag, nonce := new([16]byte), new([12]byte)
	var all contest
	all.add("CTR-library", size, func() { library.XORKeyStreamAt(unit, unit, 0) })
	all.add("CTR", size, func() { c.XORKeyStreamAt(unit, unit, 0) })
	all.add("GMAC-library", size, func() { gcm.Sum(tag, nonce, unit) })
	all.add("GMAC", size, func() { g.Sum(tag, nonce, unit) })
	all.run(b)
}

// BenchmarkUnits is what a cache does with units of 128 KiB that have arrived: decrypt them, and take each into its
// chunk's MAC; in two passes, or in small pieces so that the second one finds the plaintext in the nearest cache.
func BenchmarkUnits(b *testing.B) {
	const size = 128 << 10
	c := mc.NewCipher(mc.NewFileKey())
	for _, n := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("lanes=%d", n), func(b *testing.B) {
			encrypted, plain := noise(1, 64*n*size), make([]byte, n*size)
			units := slices.Collect(slices.Chunk(plain, size))
			var ws []*mc.MACWriter
			for range n {
				ws = append(ws, c.NewMAC())
			}
			turn := 0
			source := func() [][]byte { // not in a near cache, as if from the network
				turn = (turn + 1) % 64
				return slices.Collect(slices.Chunk(encrypted[turn*n*size:(turn+1)*n*size], size))
			}
			pieces := make([][]byte, n)
			pass := func(step int) func() {
				return func() {
					from := source()
					for off := 0; off < size; off += step {
						for i, u := range units {
							pieces[i] = u[off : off+step]
							c.XORKeyStreamAt(pieces[i], from[i][off:off+step], int64(i<<20+off))
						}
						mc.AdvanceMACs(ws, pieces)
					}
				}
			}
			var all contest
			all.add("two-passes", n*size, pass(size))
			for _, step := range []int{4 << 10, 16 << 10} {
				all.add(fmt.Sprintf("by-%dK", step>>10), n*size, pass(step))
			}
			all.add("CTR-only", n*size, func() {
				from := source()
				for i, u := range units {
					c.XORKeyStreamAt(u, from[i], int64(i<<20))
				}
			})
			all.run(b)
		})
	}
}
