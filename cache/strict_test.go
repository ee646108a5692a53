package cache

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func strict(o *Options) { o.Strict = true }

// damageFirst changes one byte each time that a stretch is fetched, as often as times says.
func damageFirst(at int64, times int32) func(off int64, b []byte) {
	var left atomic.Int32
	left.Store(times)
	return func(off int64, b []byte) {
		if at >= off && at < off+int64(len(b)) && left.Add(-1) >= 0 {
			b[at-off] ^= 1
		}
	}
}

func TestVerify(t *testing.T) {
	for _, size := range []int{0, 1000, 300_000, 3<<20 + 5} {
		for name, disk := range map[string]bool{"memory": false, "disk": true} {
			f := makeFile(t, size)
			open := func(change func(int64, []byte)) (*Cache, *cloud) {
				cl := newCloud(f)
				cl.change = change
				if disk {
					return cl.open(t, onDisk(t.TempDir())), cl
				}
				return cl.open(t), cl
			}
			told := int64(0)
			tell := func(n int64) { told += n }

			c, cl := open(nil)
			require.NoError(t, c.Verify(bg, f.File, tell), name)
			require.EqualValues(t, size, told, name)
			require.Equal(t, Verified, c.State(f.File).Verified)
			require.NoError(t, c.Verify(bg, f.File, nil))
			require.EqualValues(t, size, cl.moved(t), "nothing is read again")
			if size == 0 {
				continue
			}

			c, _ = open(damageFirst(int64(size/2), 1))
			require.NoError(t, c.Verify(bg, f.File, nil), "%s: wrong once", name)

			c, _ = open(damageFirst(int64(size/2), 1000))
			require.ErrorIs(t, c.Verify(bg, f.File, nil), ErrQuarantined, name)
			require.ErrorIs(t, readAt(t, c, f, 0, 10), ErrQuarantined)
			c.Accept(f.File)
			require.Equal(t, Accepted, c.State(f.File).Verified)
			require.NoError(t, readAt(t, c, f, 0, 10))
			require.NoError(t, c.Verify(bg, f.File, nil))
			require.NoError(t, c.Drop(f.File))
			require.ErrorIs(t, c.Verify(bg, f.File, nil), ErrQuarantined, "the decision is forgotten")
		}
	}
}

func TestAcceptedStaysSo(t *testing.T) {
	f := makeFile(t, 2<<20)
	dir := t.TempDir()
	cl := newCloud(f)
	cl.change = damageFirst(1<<20, 1000)
	c, err := Open(Options{Dir: dir, DiskFloor: -1, Fetch: cl.fetch})
	require.NoError(t, err)
	c.Accept(f.File)
	require.NoError(t, c.Close())
	c = cl.open(t, onDisk(dir))
	require.NoError(t, c.Verify(bg, f.File, nil))
	require.NoError(t, readAt(t, c, f, 0, 10))
}

func TestStrictServesNothingUnverified(t *testing.T) {
	f := makeFile(t, 6<<20)
	for _, disk := range []bool{false, true} {
		change := []func(*Options){strict, inMemory(minUnits)}
		if disk {
			change = append(change, onDisk(t.TempDir()))
		}
		cl := newCloud(f)
		cl.change = damageFirst(5<<20, 1)
		c := cl.open(t, change...)
		require.NoError(t, readAt(t, c, f, 0, 10))
		require.GreaterOrEqual(t, c.Stats().Fetched, 2*f.Size-1<<20, "all of it, twice, before the first byte")
		readAll(t, c, f)
		require.NoError(t, readAt(t, c, f, 3<<20-7, 1<<20))

		cl = newCloud(f)
		cl.change = damageFirst(5<<20, 1000)
		c = cl.open(t, strict)
		r := c.NewReader(f.File)
		n, err := r.ReadAt(bg, make([]byte, 10), 0)
		require.ErrorIs(t, err, ErrQuarantined)
		require.Zero(t, n)
		r.Close()
	}
}

// What left the cache and comes again is compared chunk by chunk with what was verified.
func TestStrictComparesWhatIsFetchedAgain(t *testing.T) {
	f := makeFile(t, 16<<20)
	cl := newCloud(f)
	var bad atomic.Bool
	cl.change = func(off int64, b []byte) {
		if bad.Load() {
			b[0] ^= 1
		}
	}
	c := cl.open(t, strict, inMemory(minUnits))
	readAll(t, c, f) // most of it is gone again
	bad.Store(true)
	r := c.NewReader(f.File)
	defer r.Close()
	p := make([]byte, 100)
	n, err := r.ReadAt(bg, p, 100)
	require.ErrorIs(t, err, ErrQuarantined)
	require.Zero(t, n)
}

func TestReadsTimeOut(t *testing.T) {
	for _, size := range []int{1000, 3 << 20} {
		f := makeFile(t, size)
		cl := newCloud(f)
		cl.fault = func(n *fetched) error { <-n.ctx.Done(); return n.ctx.Err() }
		c := cl.open(t, func(o *Options) { o.Timeout = 100 * time.Millisecond })
		require.ErrorIs(t, readAt(t, c, f, 0, 10), ErrTimeout) // nothing else would end it
		ctx, cancel := context.WithCancel(bg)
		cancel()
		r := c.NewReader(f.File)
		_, err := r.ReadAt(ctx, make([]byte, 1), 0)
		require.ErrorIs(t, err, context.Canceled)
		r.Close()
	}
}
