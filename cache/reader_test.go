package cache

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// testPatience is after what time a test is sure that something does not happen any more.
const testPatience = time.Minute

func TestEveryByteAtEverySize(t *testing.T) {
	for _, size := range []int{
		1, 15, 16, 17, UnitSize - 1, UnitSize, UnitSize + 1, 3 * UnitSize, smallSize - 1, smallSize, smallSize + 1,
		5 << 20, 9<<20 + 77,
	} {
		for _, disk := range []bool{false, true} {
			t.Run(fmt.Sprint(size, disk), func(t *testing.T) {
				f := makeFile(t, size)
				cl := newCloud(f)
				var change []func(*Options)
				if disk {
					change = append(change, onDisk(t.TempDir()))
				}
				c := cl.open(t, change...)
				readAll(t, c, f)
				require.EqualValues(t, size, cl.moved(t))
				readAll(t, c, f)
				require.EqualValues(t, size, cl.moved(t), "the second time nothing is fetched")
				c.awaitVerified(t, f.File)
				require.EqualValues(t, size, c.State(f.File).Cached)
			})
		}
	}
}

// awaitVerified waits until the MAC jobs of a file have come to their end.
func (c *Cache) awaitVerified(t testing.TB, f File) {
	t.Helper()
	require.Eventually(t, func() bool { return c.State(f).Verified == Verified }, testPatience, time.Millisecond)
}

func TestReadAtEnds(t *testing.T) {
	for _, size := range []int{1000, 3 << 20} {
		f := makeFile(t, size)
		c := newCloud(f).open(t)
		r := c.NewReader(f.File)
		defer r.Close()
		p := make([]byte, 100)
		n, err := r.ReadAt(bg, p, int64(size)-50)
		require.Equal(t, 50, n)
		require.Equal(t, io.EOF, err)
		n, err = r.ReadAt(bg, p, int64(size)-100)
		require.Equal(t, 100, n)
		require.NoError(t, err)
		_, err = r.ReadAt(bg, p, int64(size))
		require.Equal(t, io.EOF, err)
		_, err = r.ReadAt(bg, p, -1)
		require.ErrorIs(t, err, ErrOffset)
		n, err = r.ReadAt(bg, nil, 0)
		require.Zero(t, n)
		require.NoError(t, err)
	}
}

func TestEmptyFileIsNeverFetched(t *testing.T) {
	f := makeFile(t, 0)
	cl := newCloud(f)
	c := cl.open(t, onDisk(t.TempDir()))
	r := c.NewReader(f.File)
	defer r.Close()
	_, err := r.ReadAt(bg, make([]byte, 10), 0)
	require.Equal(t, io.EOF, err)
	require.Empty(t, cl.calls())
	require.Equal(t, State{Verified: Verified}, c.State(f.File))
	require.NoError(t, c.Store(f.File, 0, nil))
	c.Complete(f.File)
	require.NoError(t, c.Drop(f.File))
}

func TestRandomReadsFetchTheAlignedUnit(t *testing.T) {
	f := makeFile(t, 16<<20)
	cl := newCloud(f)
	c := cl.open(t)
	r := c.NewReader(f.File)
	defer r.Close()
	for i, at := range []int64{9 << 20, 3<<20 + 5, 14<<20 + 99, 6 << 20} {
		require.NoError(t, readWith(t, r, f, at, 4096))
		last := cl.calls()[i]
		require.Equal(t, unitOf(at)*UnitSize, last.off)
		require.EqualValues(t, UnitSize, last.n)
	}
	require.Len(t, cl.calls(), 4)
}

// gate blocks a fetch before the byte at `at`, until it is opened or the fetch cancelled.
func gate(at int64) (fault func(*fetched) error, open func()) {
	ch := make(chan struct{})
	return func(n *fetched) error {
		if n.off+n.done < at || n.off > at {
			return nil
		}
		select {
		case <-ch:
			return nil
		case <-n.ctx.Done():
			return n.ctx.Err()
		}
	}, sync.OnceFunc(func() { close(ch) })
}

// stuckFetch is a cache over a cloud that sends no byte of a file before open is called.
func stuckFetch(t *testing.T, size int, change ...func(*Options)) (f *cloudFile, cl *cloud, c *Cache, open func()) {
	f = makeFile(t, size)
	cl = newCloud(f)
	cl.fault, open = gate(0)
	return f, cl, cl.open(t, change...), open
}

func TestAReaderWaitsForItsBytesOnly(t *testing.T) {
	f := makeFile(t, 8<<20)
	cl := newCloud(f)
	fault, open := gate(piece) // all but the first 32 KiB is stuck
	cl.fault = fault
	c := cl.open(t)
	require.NoError(t, readAt(t, c, f, 0, piece))
	r := c.NewReader(f.File)
	defer r.Close()
	require.NoError(t, readWith(t, r, f, 100, piece-100))
	late := make(chan error)
	go func() { late <- readWith(t, r, f, 100, piece) }()
	cl.await(t, func() bool { return cl.running > 0 })
	select {
	case err := <-late:
		require.Fail(t, "served a byte that had not come", err)
	default:
	}
	open()
	require.NoError(t, <-late)
}

func TestOneFlightForAllReaders(t *testing.T) {
	for _, size := range []int{500_000, 8 << 20} {
		f, cl, c, open := stuckFetch(t, size)
		var g errgroup.Group
		for range 20 {
			g.Go(func() error { return readAt(t, c, f, 1000, 50_000) })
		}
		require.Eventually(t, func() bool { return c.waiting(f.File) == 20 }, testPatience, time.Millisecond)
		open()
		require.NoError(t, g.Wait())
		require.Len(t, cl.calls(), 1)
	}
}

// waiting counts the readers that wait for any byte of a file.
func (c *Cache) waiting(f File) (n int) {
	co := c.hold(f)
	defer c.release(co)
	c.mu.Lock()
	defer c.mu.Unlock()
	if co.small != nil {
		return co.small.waiting
	}
	seen := map[*flight]bool{}
	for _, u := range co.units {
		if u.flight != nil && !seen[u.flight] {
			seen[u.flight] = true
			n += u.flight.wanted
		}
	}
	return n / 2 // each counts as the one who waits, and as one who owns
}

func TestContextEndsTheWaitNotTheFetch(t *testing.T) {
	for _, size := range []int{500_000, 8 << 20} {
		f, cl, c, open := stuckFetch(t, size)
		r := c.NewReader(f.File)
		ctx, cancel := context.WithCancel(bg)
		failed := make(chan error)
		go func() {
			_, err := r.ReadAt(ctx, make([]byte, 10), 0)
			failed <- err
		}()
		cl.await(t, func() bool { return cl.running == 1 })
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
		open()
		require.NoError(t, readWith(t, r, f, 0, 10))
		require.Len(t, cl.calls(), 1, "the fetch went on for the open reader")
		r.Close()
	}
}

func TestCloseCancelsTheFetch(t *testing.T) {
	for _, size := range []int{500_000, 8 << 20} {
		f, cl, c, _ := stuckFetch(t, size)
		r := c.NewReader(f.File)
		ctx, cancel := context.WithCancel(bg)
		go func() {
			cl.await(t, func() bool { return cl.running == 1 })
			cancel()
		}()
		_, err := r.ReadAt(ctx, make([]byte, 10), 0)
		require.ErrorIs(t, err, context.Canceled)
		r.Close()
		r.Close() // harmless
		cl.await(t, func() bool { return cl.running == 0 })
		_, err = r.ReadAt(bg, make([]byte, 10), 0)
		require.ErrorIs(t, err, ErrClosed)
		cl.fault = nil
		require.NoError(t, readAt(t, c, f, 0, 10), "and it can be fetched again")
	}
}

func TestAFetchGoesOnForTheOtherReader(t *testing.T) {
	f, cl, c, open := stuckFetch(t, 8<<20)
	first, second := c.NewReader(f.File), c.NewReader(f.File)
	defer second.Close()
	ctx, cancel := context.WithCancel(bg)
	gone := make(chan error)
	go func() {
		_, err := first.ReadAt(ctx, make([]byte, 10), 0)
		gone <- err
	}()
	cl.await(t, func() bool { return cl.running == 1 })
	stays := make(chan error)
	go func() { stays <- readWith(t, second, f, 0, 10) }()
	require.Eventually(t, func() bool { return c.waiting(f.File) == 2 }, testPatience, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	first.Close()
	open()
	require.NoError(t, <-stays)
	require.Len(t, cl.calls(), 1)
}

// stuckBeyond makes a cache over a cloud that brings only what somebody waits for, so that windows have reason to grow
// however slow the reader is, and nothing past an offset.
func stuckBeyond(t *testing.T, cl *cloud, at int64) *Cache {
	var c *Cache
	cl.fault = func(n *fetched) error {
		if n.off+n.done >= at {
			<-n.ctx.Done()
			return n.ctx.Err()
		}
		for tick := time.NewTicker(time.Millisecond); ; {
			if c.somebodyWaits() {
				tick.Stop()
				return nil
			}
			select {
			case <-tick.C:
			case <-n.ctx.Done():
				return n.ctx.Err()
			}
		}
	}
	c = cl.open(t)
	return c
}

func (c *Cache) somebodyWaits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, co := range c.contents {
		for _, u := range co.units {
			if u.wake != nil {
				return true
			}
		}
	}
	return false
}

func TestReadAheadEndsWithTheReader(t *testing.T) {
	f := makeFile(t, 32<<20)
	cl := newCloud(f)
	c := stuckBeyond(t, cl, 8<<20)
	r := c.NewReader(f.File)
	for off := int64(0); off < 8<<20; off += UnitSize {
		require.NoError(t, readWith(t, r, f, off, UnitSize))
	}
	cl.await(t, func() bool { return cl.running > 1 })
	r.Close()
	cl.await(t, func() bool { return cl.running == 0 })
}

func TestReadAheadEndsAfterSeekingAway(t *testing.T) {
	f := makeFile(t, 48<<20)
	cl := newCloud(f)
	c := stuckBeyond(t, cl, 8<<20)
	stuck := cl.fault
	cl.fault = func(n *fetched) error {
		if n.off >= 32<<20 {
			return nil
		}
		return stuck(n)
	}
	r := c.NewReader(f.File)
	defer r.Close()
	for off := int64(0); off < 8<<20; off += UnitSize {
		require.NoError(t, readWith(t, r, f, off, UnitSize))
	}
	cl.await(t, func() bool { return cl.running > 1 })
	for i := range int64(idleReads + 1) {
		require.NoError(t, readWith(t, r, f, (47-i*7%16)<<20, 4096))
	}
	cl.await(t, func() bool { return cl.running == 0 })
}

func TestReadAheadUsesParallelParts(t *testing.T) {
	f := makeFile(t, 32<<20)
	cl := newCloud(f)
	c := stuckBeyond(t, cl, 12<<20)
	r := c.NewReader(f.File)
	defer r.Close()
	for off := int64(0); off < 12<<20; off += UnitSize {
		require.NoError(t, readWith(t, r, f, off, UnitSize))
	}
	// How many depends on the speed that was measured, and a busy machine is slow; window_test.go has the numbers.
	cl.await(t, func() bool { return cl.running > 1 })
	for _, n := range cl.calls() {
		require.LessOrEqual(t, n.n, int64(partMax))
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	require.LessOrEqual(t, cl.running, partsMax)
}

func TestSequentialReadFetchesNothingTwice(t *testing.T) {
	f := makeFile(t, 24<<20)
	cl := newCloud(f)
	c := cl.open(t)
	readAll(t, c, f)
	require.EqualValues(t, f.Size, cl.moved(t))
	require.Zero(t, c.Stats().Wasted)
}

func TestMemoryIsBounded(t *testing.T) {
	files := make([]*cloudFile, 20)
	for i := range files {
		files[i] = seededFile(3<<20+i*1000, uint64(i))
	}
	byNonce := map[[8]byte]*cloudFile{}
	for _, f := range files {
		byNonce[f.Key.Nonce] = f
	}
	for _, disk := range []bool{false, true} {
		o := Options{MemoryUnits: minUnits, DiskFloor: -1, Fetch: func(ctx context.Context, f File, off, n int64, w io.Writer) error {
			return instant(byNonce[f.Key.Nonce])(ctx, f, off, n, w)
		}}
		if disk {
			o.Dir = t.TempDir()
		}
		c, err := Open(o)
		require.NoError(t, err)
		var g errgroup.Group
		for _, f := range files {
			g.Go(func() error {
				r := c.NewReader(f.File)
				defer r.Close()
				p := make([]byte, 70_000)
				for off := int64(0); off < f.Size; off += int64(len(p)) {
					n, err := r.ReadAt(bg, p, off)
					if err != nil && err != io.EOF {
						return err
					}
					if string(p[:n]) != string(f.plain[off:off+int64(n)]) {
						return fmt.Errorf("wrong bytes at %d", off)
					}
				}
				return nil
			})
		}
		done := make(chan error)
		go func() { done <- g.Wait() }()
		for over := false; !over; {
			select {
			case err := <-done:
				require.NoError(t, err)
				over = true
			default:
				c.checkInvariants(t)
			}
		}
		require.NoError(t, c.Close())
		checkAllGiven(t, c)
		require.LessOrEqual(t, len(c.mem.free)+c.mem.lru.Len(), minUnits)
	}
}

func TestWarmReadsDoNotAllocate(t *testing.T) {
	for _, size := range []int{800_000, 4 << 20} {
		f := makeFile(t, size)
		c := newCloud(f).open(t)
		readAll(t, c, f)
		r := c.NewReader(f.File)
		defer r.Close()
		p := make([]byte, 100_000)
		off := int64(0)
		require.Zero(t, testing.AllocsPerRun(200, func() {
			_, err := r.ReadAt(bg, p, off%(f.Size-100_000))
			off += 99_000
			if err != nil {
				t.Error(err)
			}
		}))
	}
}
