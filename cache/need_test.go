package cache

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// needed tells whether somebody waits for what a fetch brings.
func (n *fetched) needed() bool {
	need, ahead := AheadOfNeed(n.ctx)
	if !ahead {
		return true
	}
	select {
	case <-need:
		return true
	default:
		return false
	}
}

// Who fetches hears what was read ahead, and when a program comes to it.
func TestReadAheadIsToldFromNeed(t *testing.T) {
	const there = 4 << 20
	f := makeFile(t, 32<<20)
	cl := newCloud(f)
	c := stuckBeyond(t, cl, there)
	r := c.NewReader(f.File)
	defer r.Close()
	for off := int64(0); off < there; off += UnitSize {
		require.NoError(t, readWith(t, r, f, off, UnitSize))
	}
	var ahead []fetched
	cl.await(t, func() bool {
		ahead = slices.DeleteFunc(slices.Clone(cl.fetches), func(n fetched) bool { return n.off < there })
		return len(ahead) > 1
	})
	require.True(t, cl.calls()[0].needed())
	for _, n := range ahead {
		require.False(t, n.needed(), "at %d", n.off)
	}
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = r.ReadAt(ctx, make([]byte, 1), ahead[0].off)
	}()
	need, _ := AheadOfNeed(ahead[0].ctx)
	<-need
	require.False(t, ahead[1].needed())
	cancel()
	<-over
}

// So it does of small files, and of the beginnings of large ones.
func TestFilesFetchedAheadAreToldFromNeed(t *testing.T) {
	small, large := seededFile(9000, 1), seededFile(3<<20, 2)
	calls, release := make(chan *fetched, 2), make(chan struct{})
	c, err := Open(Options{Fetch: func(ctx context.Context, f File, off, n int64, w io.Writer) error {
		calls <- &fetched{ctx: ctx, off: off, n: n}
		<-release
		of := small
		if f.Size == large.Size {
			of = large
		}
		_, err := w.Write(of.cipher[off : off+n])
		return err
	}})
	require.NoError(t, err)
	c.Prefetch([]File{small.File, large.File})
	one, two := <-calls, <-calls
	if one.n != small.Size {
		one, two = two, one
	}
	require.False(t, one.needed())
	require.False(t, two.needed())
	r := c.NewReader(small.File)
	defer r.Close()
	read := make(chan error, 1)
	go func() {
		_, err := r.ReadAt(bg, make([]byte, small.Size), 0)
		read <- err
	}()
	need, ahead := AheadOfNeed(one.ctx)
	require.True(t, ahead)
	<-need
	require.False(t, two.needed())
	close(release)
	require.NoError(t, <-read)
	require.NoError(t, c.Close())
}
