package cache

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// uploaded is a file while it goes up: its MAC isn't known.
func uploaded(f *cloudFile) File {
	up := f.File
	up.Handle, up.Key.MAC = "", [8]byte{}
	return up
}

func TestWhatWasUploadedIsNeverDownloaded(t *testing.T) {
	for _, size := range []int{1, 1000, UnitSize, smallSize, 3<<20 + 5} {
		for _, piece := range []int{1 << 20, UnitSize, 30_000, 16 << 10} {
			for _, disk := range []bool{true, false} {
				t.Run(fmt.Sprint(size, " by ", piece, disk), func(t *testing.T) {
					f := makeFile(t, size)
					cl := newCloud(f)
					cl.fault = func(*fetched) error { return errors.New("nothing should be fetched") }
					dir := ""
					if disk {
						dir = t.TempDir()
					}
					c := cl.open(t, onDisk(dir))
					up := uploaded(f)
					for off := 0; off < size; off += piece {
						require.NoError(t, c.Store(up, int64(off), f.cipher[off:min(size, off+piece)]))
					}
					require.Equal(t, State{Cached: f.Size}, c.State(up))
					readAll(t, c, &cloudFile{File: up, plain: f.plain})
					c.Complete(f.File)
					require.Equal(t, State{Cached: f.Size, Verified: Verified}, c.State(f.File))
					readAll(t, c, f)
					if !disk {
						return
					}
					require.NoError(t, c.Close())
					c = cl.open(t, onDisk(dir))
					require.Equal(t, State{Cached: f.Size, Verified: Verified}, c.State(f.File))
					readAll(t, c, f)
				})
			}
		}
	}
}

func TestStoreKeepsWhatItGets(t *testing.T) {
	f := makeFile(t, 4<<20)
	cl := newCloud(f)
	c := cl.open(t, onDisk(t.TempDir()))
	up := uploaded(f)
	// A unit whose beginning never comes, a piece twice, and a hole.
	require.NoError(t, c.Store(up, 50, f.cipher[50:2*UnitSize]))
	require.NoError(t, c.Store(up, UnitSize, f.cipher[UnitSize:2*UnitSize]))
	require.NoError(t, c.Store(up, 3*UnitSize, f.cipher[3*UnitSize:3*UnitSize+10]))
	require.EqualValues(t, UnitSize, c.State(up).Cached)
	c.Complete(f.File)
	require.Equal(t, Unverified, c.State(f.File).Verified, "not all of it is here")
	readAll(t, c, f)
	c.awaitVerified(t, f.File)
	require.EqualValues(t, f.Size-UnitSize, cl.moved(t))
	require.NoError(t, c.Close())
}

func TestStoreRefusesWhatCannotBe(t *testing.T) {
	f := makeFile(t, 1000)
	c := newCloud(f).open(t)
	require.ErrorIs(t, c.Store(f.File, -1, f.cipher[:1]), ErrOffset)
	require.ErrorIs(t, c.Store(f.File, 999, f.cipher[:2]), ErrOffset)
}

func TestStoreDoesNotKeepTheSlice(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		f := makeFile(t, 2<<20)
		cl := newCloud(f)
		c := cl.open(t, onDisk(dir))
		b := make([]byte, 40_000)
		for off := 0; off < len(f.cipher); off += len(b) {
			n := copy(b, f.cipher[off:])
			require.NoError(t, c.Store(uploaded(f), int64(off), b[:n]))
			clear(b)
		}
		c.Complete(f.File)
		readAll(t, c, f)
		require.Empty(t, cl.calls())
	}
}
