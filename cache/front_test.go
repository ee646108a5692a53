package cache

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gateOf blocks the fetches that begin at an offset, until it is opened or they are cancelled.
func gateOf(off int64) (fault func(*fetched) error, open func()) {
	stuck, open := gate(off)
	return func(n *fetched) error {
		if n.off != off {
			return nil
		}
		return stuck(n)
	}, open
}

const (
	frontUnit  = 5 * UnitSize
	frontWants = frontUnit + 100_000
	frontSkip  = 98304 // whole pages before what is wanted
)

func TestAReadInAUnitDoesNotWaitForItsFront(t *testing.T) {
	for _, disk := range []bool{false, true} {
		f := makeFile(t, 8<<20)
		cl := newCloud(f)
		fault, open := gateOf(frontUnit)
		cl.fault = fault
		var change []func(*Options)
		if disk {
			change = append(change, onDisk(t.TempDir()))
		}
		c := cl.open(t, change...)
		r := c.NewReader(f.File)
		require.NoError(t, readWith(t, r, f, frontWants, 4096), "the front is stuck")
		front := make(chan error)
		go func() { front <- readWith(t, r, f, frontUnit+10, 4096) }()
		require.Eventually(t, func() bool { return c.waiting(f.File) == 1 }, testPatience, time.Millisecond)
		require.NoError(t, readWith(t, r, f, frontUnit+frontSkip, 1000), "all that was asked for first is there")
		open()
		require.NoError(t, <-front)
		require.EqualValues(t, UnitSize, cl.moved(t), "nothing twice")
		require.Len(t, cl.calls(), 2)
		r.Close()
		require.NoError(t, readAt(t, c, f, frontUnit, UnitSize))
		require.Len(t, cl.calls(), 2, "and kept")
	}
}

func TestWhatLiesNearAUnitsBeginningComesInOnePiece(t *testing.T) {
	f := makeFile(t, 8<<20)
	cl := newCloud(f)
	c := cl.open(t)
	require.NoError(t, readAt(t, c, f, frontUnit+frontLeast-1, 4096))
	require.Len(t, cl.calls(), 1)
	require.EqualValues(t, frontUnit, cl.calls()[0].off)
}

// What was served of a unit whose front then failed is compared with what comes in its place.
func TestWhatWasServedWithoutItsFrontIsCompared(t *testing.T) {
	for _, lie := range []bool{false, true} {
		f := makeFile(t, 8<<20)
		cl := newCloud(f)
		broken := errors.New("broken")
		fault, open := gateOf(frontUnit)
		cl.fault = func(n *fetched) error {
			if err := fault(n); err != nil || n.off != frontUnit || n.n != frontSkip {
				return err
			}
			return broken
		}
		c := cl.open(t)
		r := c.NewReader(f.File)
		require.NoError(t, readWith(t, r, f, frontWants, 4096))
		front := make(chan error)
		go func() {
			_, err := r.ReadAt(bg, make([]byte, 10), frontUnit)
			front <- err
		}()
		require.Eventually(t, func() bool { return c.waiting(f.File) == 1 }, testPatience, time.Millisecond)
		open()
		require.ErrorIs(t, <-front, broken)
		if lie {
			cl.change = func(off int64, b []byte) {
				if at := int64(frontWants) - off; at >= 0 && at < int64(len(b)) {
					b[at] ^= 1
				}
			}
		}
		_, err := r.ReadAt(bg, make([]byte, 10), frontUnit+UnitSize-10)
		last := cl.calls()[len(cl.calls())-1]
		if lie {
			require.ErrorIs(t, err, ErrWrong, "one of the two is wrong")
		} else {
			require.NoError(t, err)
			require.EqualValues(t, frontUnit, last.off, "in one piece")
		}
		r.Close()
	}
}

func TestAFrontOfAnotherLength(t *testing.T) {
	f := makeFile(t, 8<<20)
	for _, by := range []int64{-1, 1} {
		cl := newCloud(f)
		awaited := make(chan struct{})
		c := cl.open(t, func(o *Options) {
			o.Fetch = func(ctx context.Context, file File, off, n int64, w io.Writer) error {
				if off != frontUnit {
					return cl.fetch(ctx, file, off, n, w)
				}
				<-awaited
				_, err := w.Write(f.cipher[off : off+n+by])
				if by > 0 {
					assert.ErrorIs(t, err, ErrLongFetch)
				}
				return err
			}
		})
		r := c.NewReader(f.File)
		require.NoError(t, readWith(t, r, f, frontUnit+UnitSize-10, 10), "all but the front")
		front := make(chan error)
		go func() { front <- readWith(t, r, f, frontUnit, 10) }()
		require.Eventually(t, func() bool { return c.waiting(f.File) == 1 }, testPatience, time.Millisecond)
		close(awaited)
		if by < 0 {
			require.ErrorIs(t, <-front, ErrShortFetch)
		} else {
			require.NoError(t, <-front, "all had come before the byte too many")
		}
		r.Close()
	}
}
