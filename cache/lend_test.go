package cache

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (l *Loan) bytes() []byte { return bytes.Join(l.Parts(), nil) }

func TestWhatIsLentIsTheFile(t *testing.T) {
	f := makeFile(t, 6<<20+12345)
	c := newCloud(f).open(t, onDisk(t.TempDir()))
	r := c.NewReader(f.File)
	defer r.Close()
	for _, at := range []struct{ off, n int64 }{
		{0, 1}, {0, 1 << 20}, {100, 1 << 20}, {UnitSize - 1, 2}, {5 << 20, 1 << 20}, {f.Size - 10, 10}, {f.Size - 10, 1 << 20},
	} {
		l, err := r.Lend(bg, at.off, at.n)
		require.NoError(t, err)
		require.NotNil(t, l, "%+v", at)
		end := min(at.off+at.n, f.Size)
		require.EqualValues(t, end-at.off, l.Len())
		require.Equal(t, f.plain[at.off:end], l.bytes())
		l.Release()
	}
	for _, at := range []struct{ off, n int64 }{{f.Size, 1}, {-1, 1}, {0, 2 << 20}} {
		l, err := r.Lend(bg, at.off, at.n)
		require.NoError(t, err)
		require.Nil(t, l, "%+v", at)
	}
}

// Many loans in little memory: none waits for another, and what is lent stays as it is.
func TestLoansInLittleMemory(t *testing.T) {
	f := makeFile(t, 16<<20)
	c := newCloud(f).open(t, onDisk(t.TempDir()), inMemory(minUnits))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			r := c.NewReader(f.File)
			defer r.Close()
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			p := make([]byte, 512<<10)
			for range 20 {
				off := rng.Int64N(f.Size - int64(len(p)))
				l, err := r.Lend(bg, off, int64(len(p)))
				if err == nil && l == nil {
					_, err = r.ReadAt(bg, p, off)
				}
				if err != nil {
					t.Error(err)
					return
				}
				got := p
				if l != nil {
					got = l.bytes()
					l.Release()
				}
				if !bytes.Equal(f.plain[off:off+int64(len(p))], got) {
					t.Error("other bytes than the file's")
				}
			}
		})
	}
	group.Wait()
}

// A small file, and a cache that verifies everything first, lend nothing.
func TestWhatIsVerifiedFirstIsNotLent(t *testing.T) {
	small, large := makeFile(t, 1000), makeFile(t, 2<<20)
	for _, c := range []struct {
		f *cloudFile
		c *Cache
	}{{small, newCloud(small).open(t)}, {large, newCloud(large).open(t, func(o *Options) { o.Strict = true })}} {
		r := c.c.NewReader(c.f.File)
		l, err := r.Lend(bg, 0, 1000)
		require.NoError(t, err)
		require.Nil(t, l)
		r.Close()
	}
}

// What a stream has passed leaves memory once it is on disk, and is found there; what a random reader had stays.
func TestWhatAStreamHasPassedIsOnDiskOnly(t *testing.T) {
	f := makeFile(t, 16<<20)
	cl := newCloud(f)
	c := cl.open(t, onDisk(t.TempDir()))
	pass := func() {
		r := c.NewReader(f.File)
		defer r.Close()
		for off := int64(0); off < f.Size; off += 512 << 10 {
			l, err := r.Lend(bg, off, 512<<10)
			require.NoError(t, err)
			require.NotNil(t, l)
			require.True(t, bytes.Equal(f.plain[off:off+512<<10], l.bytes()))
			l.Release()
		}
	}
	pass()
	c.atRest(t, cl)
	require.Eventually(t, func() bool { return c.Stats().MemoryUnits < 16 }, testPatience, time.Millisecond,
		"only the first units stay, which were no stream yet")
	moved := cl.moved(t)
	pass()
	require.Equal(t, moved, cl.moved(t))

	r := c.NewReader(f.File)
	defer r.Close()
	for _, off := range []int64{9 << 20, 3 << 20, 12 << 20} {
		l, err := r.Lend(bg, off, UnitSize)
		require.NoError(t, err)
		l.Release()
		c.mu.Lock()
		require.NotNil(t, r.co.units[unitOf(off)])
		c.mu.Unlock()
	}
}
