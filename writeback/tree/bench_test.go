package tree

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
)

// large makes a tree on disk with folders of so many files, as a first fetch would.
func large(tb testing.TB, folders, files int) *Tree {
	t, err := Open(Options{Dir: tb.TempDir(), Key: [32]byte{9}})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, t.Close()) })
	ctx := context.Background()
	epoch, err := t.BeginFetch(ctx)
	require.NoError(tb, err)
	nodes := roots()
	for f := range folders {
		d := megaclient.Handle(fmt.Sprintf("D%07d", f))
		nodes = append(nodes, folder(d, rootH, fmt.Sprintf("folder %d", f)))
		for i := range files {
			nodes = append(nodes, file(megaclient.Handle(fmt.Sprintf("%03d%05d", f, i)), d, fmt.Sprintf("IMG_%06d.jpeg", i)))
		}
	}
	for len(nodes) > 0 {
		require.NoError(tb, t.Update(ctx, func(tx *Tx) error {
			for len(nodes) > 0 && !tx.Full() {
				if err := tx.ApplyNode(nodes[0], ""); err != nil {
					return err
				}
				nodes = nodes[1:]
			}
			return nil
		}))
	}
	require.NoError(tb, t.EndFetch(ctx, epoch))
	return t
}

func BenchmarkFetch(b *testing.B) {
	const folders, files = 100, 200
	for b.Loop() {
		t := large(b, folders, files)
		require.NoError(b, t.Close())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*folders*files), "ns/node")
}

func BenchmarkReadDir(b *testing.B) {
	for _, c := range []struct{ folders, files int }{{500, 200}, {1, 100_000}} {
		b.Run(fmt.Sprintf("%dx%d", c.folders, c.files), func(b *testing.B) {
			t := large(b, c.folders, c.files)
			dirs, err := t.ReadDir(DriveIno, "", 0)
			require.NoError(b, err)
			entries := 0
			for b.Loop() {
				for _, d := range dirs {
					after := ""
					for {
						list, err := t.ReadDir(d.Ino, after, 1000)
						require.NoError(b, err)
						entries += len(list)
						if len(list) < 1000 {
							break
						}
						after = list[len(list)-1].Name
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(entries), "ns/entry")
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	t := large(b, 1, 100_000)
	dir, err := t.Resolve("/folder 0")
	require.NoError(b, err)
	for name, span := range map[string]int{"cold": 100_000, "warm": 1000} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := t.Lookup(dir, fmt.Sprintf("IMG_%06d.jpeg", rand.N(span)))
				require.NoError(b, err)
			}
		})
	}
	b.Run("absent", func(b *testing.B) {
		for b.Loop() {
			_, err := t.Lookup(dir, fmt.Sprintf("no-%06d", rand.N(100_000)))
			require.ErrorIs(b, err, ErrNotFound)
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	t := large(b, 1, 1)
	i := 0
	for b.Loop() {
		i++
		require.NoError(b, t.Update(context.Background(), func(tx *Tx) error {
			return tx.Create(&Inode{Kind: File, Parent: DriveIno, Name: fmt.Sprint(i), Pending: PendingContent})
		}))
	}
}

func BenchmarkDecodeInode(b *testing.B) {
	in := fullInode()
	row, err := encodeRow(in)
	require.NoError(b, err)
	for b.Loop() {
		var in Inode
		require.NoError(b, decodeInode(row, &in))
	}
}
