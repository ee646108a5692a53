package cache

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
)

const benchSize = 32 << 20

func instant(f *cloudFile) FetchFunc {
	return func(_ context.Context, _ File, off, n int64, w io.Writer) error {
		for b := f.cipher[off : off+n]; len(b) > 0; {
			k, err := w.Write(b[:min(len(b), 32<<10)])
			if err != nil {
				return err
			}
			b = b[k:]
		}
		return nil
	}
}

func readWhole(b *testing.B, c *Cache, f *cloudFile, p []byte) {
	r := c.NewReader(f.File)
	defer r.Close()
	for off := int64(0); off < f.Size; off += int64(len(p)) {
		if _, err := r.ReadAt(context.Background(), p, off); err != nil && err != io.EOF {
			b.Fatal(err)
		}
	}
}

// The steady state: everything is in memory. No allocation.
func BenchmarkReadAtMemory(b *testing.B) { benchReadAt(b, Options{}) }

// Everything is on disk (in the page cache), and the memory level is too small to help.
func BenchmarkReadAtDisk(b *testing.B) {
	benchReadAt(b, Options{Dir: b.TempDir(), DiskFloor: -1, MemoryUnits: 32})
}

// benchReadAt reads a file, which has come whole, unit by unit.
func benchReadAt(b *testing.B, o Options) {
	f := makeFile(b, benchSize)
	o.Fetch = instant(f)
	c, err := Open(o)
	require.NoError(b, err)
	defer c.Close()
	p := make([]byte, UnitSize)
	readWhole(b, c, f, p)
	r := c.NewReader(f.File)
	defer r.Close()
	b.SetBytes(UnitSize)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		off := int64(i) * UnitSize % f.Size
		if _, err := r.ReadAt(context.Background(), p, off); err != nil {
			b.Fatal(err)
		}
	}
}

// A whole file from a fetcher that costs nothing: decryption, MACs, and with a disk also checksums.
func BenchmarkCold(b *testing.B) {
	f := makeFile(b, benchSize)
	for _, disk := range []bool{false, true} {
		b.Run(map[bool]string{false: "memory", true: "disk"}[disk], func(b *testing.B) {
			p := make([]byte, UnitSize)
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				o := Options{DiskFloor: -1, Fetch: instant(f)}
				if disk {
					o.Dir = b.TempDir()
				}
				c, err := Open(o)
				require.NoError(b, err)
				readWhole(b, c, f, p)
				require.NoError(b, c.Close())
				if disk {
					b.StopTimer()
					_ = os.RemoveAll(o.Dir)
					b.StartTimer()
				}
			}
		})
	}
}

// Why memory holds plaintext: what a warm read of one unit costs either way.
func BenchmarkMemoryUnit(b *testing.B) {
	f := makeFile(b, 8<<20)
	cipher := megacrypto.NewCipher(f.Key)
	p := make([]byte, UnitSize)
	b.Run("plaintext", func(b *testing.B) {
		b.SetBytes(UnitSize)
		for i := 0; b.Loop(); i++ {
			copy(p, f.plain[i%64*UnitSize:])
		}
	})
	b.Run("ciphertext", func(b *testing.B) {
		b.SetBytes(UnitSize)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			off := i % 64 * UnitSize
			cipher.XORKeyStreamAt(p, f.cipher[off:off+UnitSize], int64(off))
		}
	})
}

func BenchmarkChecksum(b *testing.B) {
	s := newSums([32]byte{1})
	p := make([]byte, UnitSize)
	b.SetBytes(UnitSize)
	b.ReportAllocs()
	for b.Loop() {
		s.sum(kindUnit, id{}, 1, p)
	}
}

func BenchmarkChunkMAC(b *testing.B) {
	f := makeFile(b, 1<<20)
	cipher := megacrypto.NewCipher(f.Key)
	b.SetBytes(1 << 20)
	for b.Loop() {
		cipher.ChunkMAC(f.plain)
	}
}
