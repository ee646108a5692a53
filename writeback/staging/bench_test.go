package staging

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

var benchOwner = Owner{Ino: 1 << 20, Path: "/Documents/thesis/chapters/figures/raw.dat", Base: "AbCdEfGh 0123456789abcdef0123456789abcdef0123456789a"}

func benchStore(b *testing.B) *Store {
	s, err := Open(Options{Dir: b.TempDir()})
	require.NoError(b, err)
	b.Cleanup(func() { s.Close() })
	s.Started()
	return s
}

// The plain disk, to compare with: the same writes without sealing.
func BenchmarkPlainWrite(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			p := make([]byte, size)
			b.SetBytes(int64(size))
			f, err := os.Create(filepath.Join(b.TempDir(), "plain"))
			require.NoError(b, err)
			defer f.Close()
			for i := 0; b.Loop(); i++ {
				_, err := f.WriteAt(p, int64(i)%(256<<20/int64(size))*int64(size))
				require.NoError(b, err)
			}
		})
	}
}

// Appends that are released 128 MiB later, as uploads do, so that the disk
// doesn't fill.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			s := benchStore(b)
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			held := make([][]Extent, 256<<20/size)
			for i := 0; b.Loop(); i++ {
				es, err := s.Append(benchOwner, rand.Int64N(1<<30)&^4095, p)
				if err != nil {
					b.Fatal(err)
				}
				s.Release(held[i%len(held)]...)
				held[i%len(held)] = es
			}
		})
	}
}

func BenchmarkAppendParallel(b *testing.B) {
	s := benchStore(b)
	p := make([]byte, 128<<10)
	b.SetBytes(int64(len(p)))
	b.RunParallel(func(pb *testing.PB) {
		var held [512][]Extent
		for i := 0; pb.Next(); i++ {
			es, err := s.Append(benchOwner, int64(i)*MaxRecord, p)
			if err != nil {
				b.Error(err)
			}
			s.Release(held[i%len(held)]...)
			held[i%len(held)] = es
		}
	})
}

// 1 GiB written and synced, sealed and plain.
func BenchmarkGiBSynced(b *testing.B) {
	p := make([]byte, 1<<20)
	b.Run("sealed", func(b *testing.B) {
		b.SetBytes(1 << 30)
		for b.Loop() {
			s := benchStore(b)
			for i := range int64(1024) {
				_, err := s.Append(benchOwner, i<<20, p)
				require.NoError(b, err)
			}
			require.NoError(b, s.Sync(context.Background()))
			s.Close()
			os.RemoveAll(s.dir)
		}
	})
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(1 << 30)
		for b.Loop() {
			name := filepath.Join(b.TempDir(), "plain")
			f, err := os.Create(name)
			require.NoError(b, err)
			for i := range int64(1024) {
				_, err := f.WriteAt(p, i<<20)
				require.NoError(b, err)
			}
			require.NoError(b, f.Sync())
			f.Close()
			os.Remove(name)
		}
	})
}

func BenchmarkReadAt(b *testing.B) {
	s := benchStore(b)
	var all []Extent
	for i := range int64(64) {
		es, err := s.Append(benchOwner, i<<20, make([]byte, 1<<20))
		require.NoError(b, err)
		all = append(all, es...)
	}
	b.Run("whole-128KiB", func(b *testing.B) {
		p := make([]byte, MaxRecord)
		b.SetBytes(MaxRecord)
		for i := 0; b.Loop(); i++ {
			if err := s.ReadAt(all[i%len(all)], p, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sequential-4KiB", func(b *testing.B) {
		p := make([]byte, 4096)
		b.SetBytes(4096)
		for i := 0; b.Loop(); i++ {
			if err := s.ReadAt(all[i/32%len(all)], p, int64(i%32)*4096); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMapInsertRandom4KiB(b *testing.B) {
	var m Map
	for i := 0; b.Loop(); i++ {
		off := rand.Int64N(1<<30) &^ 4095
		m.Insert(Extent{Off: off, Len: 4096, Seg: 1, Pos: int64(i) * 4352})
	}
}

func BenchmarkMapPieces(b *testing.B) {
	var m Map
	for i := range int64(262144) {
		m.Insert(Extent{Off: i * 4096, Len: 4096, Seg: 1, Pos: i * 4352})
	}
	var n atomic.Int64
	for b.Loop() {
		n.Add(int64(len(m.Pieces(rand.Int64N(1<<30)&^131071, 131072))))
	}
}
