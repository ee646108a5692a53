package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type quotaError struct{ left time.Duration }

func (e *quotaError) Error() string { return "over quota" }

func TestFetchErrorsReachTheReaderTyped(t *testing.T) {
	for _, size := range []int{500_000, 8 << 20} {
		f := makeFile(t, size)
		cl := newCloud(f)
		cl.fault = func(n *fetched) error {
			if n.done > 0 {
				return fmt.Errorf("reading: %w", &quotaError{time.Hour})
			}
			return nil
		}
		c := cl.open(t)
		err := readAt(t, c, f, 0, 100_000)
		var quota *quotaError
		require.True(t, errors.As(err, &quota))
		require.Equal(t, time.Hour, quota.left)
		var fetch *FetchError
		require.True(t, errors.As(err, &fetch))
		require.Zero(t, fetch.Off)
		cl.fault = nil
		require.NoError(t, readAt(t, c, f, 0, 100_000), "the next read tries again")
	}
}

func TestShortAndLongFetches(t *testing.T) {
	for _, size := range []int64{500_000, 8 << 20} {
		f := makeFile(t, int(size))
		var extra atomic.Int64 // what is read ahead may still be under way when it changes
		var stray atomic.Pointer[io.Writer]
		c, err := Open(Options{Fetch: func(ctx context.Context, _ File, off, n int64, w io.Writer) error {
			if off <= size-200_000 {
				stray.Store(&w) // of the fetch that the reader waits for first
			}
			k := extra.Load()
			if k < 0 {
				_, err := w.Write(f.cipher[off : off+n+k])
				return err
			}
			_, err := w.Write(append(f.cipher[off:off+n:off+n], make([]byte, k)...))
			if k > 0 && ctx.Err() == nil {
				assert.ErrorIs(t, err, ErrLongFetch)
			}
			return nil
		}})
		require.NoError(t, err)
		extra.Store(-1)
		p := make([]byte, 200_000)
		r := c.NewReader(f.File)
		_, err = r.ReadAt(bg, p, size-200_000)
		require.ErrorIs(t, err, ErrShortFetch)
		_, err = (*stray.Load()).Write([]byte("too late"))
		require.Error(t, err)
		extra.Store(1)
		_, err = r.ReadAt(bg, p, size-200_000)
		if size <= smallSize {
			require.ErrorIs(t, err, ErrLongFetch)
		} // else the right bytes had come before the one too many
		extra.Store(0)
		_, err = r.ReadAt(bg, p, size-200_000)
		require.NoError(t, err)
		require.Equal(t, f.plain[size-200_000:], p)
		r.Close()
		require.NoError(t, c.Close())
	}
}

func TestCloseOfTheCacheEndsReads(t *testing.T) {
	for _, size := range []int{500_000, 8 << 20} {
		f, cl, c, _ := stuckFetch(t, size, onDisk(t.TempDir()))
		r := c.NewReader(f.File)
		failed := make(chan error)
		go func() {
			_, err := r.ReadAt(bg, make([]byte, 10), 0)
			failed <- err
		}()
		cl.await(t, func() bool { return cl.running == 1 })
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-failed, ErrClosed)
		_, err := r.ReadAt(bg, make([]byte, 10), 0)
		require.ErrorIs(t, err, ErrClosed)
		r.Close()
	}
}

func TestOpenNeedsAFetchFunc(t *testing.T) {
	_, err := Open(Options{})
	require.Error(t, err)
}

func TestTheHandleOfTheReaderIsFetched(t *testing.T) {
	f := makeFile(t, 1000)
	cl := newCloud(f)
	c := cl.open(t)
	moved := f.File
	moved.Handle = "BBBBBBBB"
	r := c.NewReader(moved)
	require.NoError(t, readWith(t, r, f, 0, 1000))
	r.Close()
	require.NoError(t, readAt(t, c, f, 0, 1000))
	require.Equal(t, []string{"BBBBBBBB"}, cl.handle, "one identity under two handles")
}

// Nothing but its bytes is taken from a file whose key and nonce are another's.
func TestSameKeyOtherContent(t *testing.T) {
	for _, disk := range []bool{false, true} {
		f := makeFile(t, 300_000)
		cl := newCloud(f)
		var change []func(*Options)
		if disk {
			change = append(change, onDisk(t.TempDir()))
		}
		c := cl.open(t, change...)
		readAll(t, c, f)
		evil := f.File
		evil.Key.MAC[3] ^= 1
		r := c.NewReader(evil)
		_, err := r.ReadAt(bg, make([]byte, 10), 0)
		require.ErrorIs(t, err, ErrQuarantined)
		r.Close()
		readAll(t, c, f)
		require.False(t, c.State(f.File).Quarantined)
		longer := f.File
		longer.Size++
		require.Zero(t, c.State(longer).Cached)
	}
}
