package cache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
)

// spoil changes one byte of the file in every fetch for which when says so, which is asked by one at a time.
func (c *cloud) spoil(at int64, when func() bool) {
	var mu sync.Mutex
	c.change = func(off int64, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		if off <= at && at < off+int64(len(b)) && when() {
			b[at-off] ^= 0x40
		}
	}
}

func TestSmallFilesAreVerifiedBeforeTheFirstByte(t *testing.T) {
	f := makeFile(t, smallSize)
	cl := newCloud(f)
	fault, open := gate(smallSize - piece)
	cl.fault = fault
	c := cl.open(t)
	served := make(chan error)
	go func() { served <- readAt(t, c, f, 0, 10) }()
	cl.await(t, func() bool { return cl.bytes >= smallSize-2*piece })
	select {
	case err := <-served:
		require.Fail(t, "served before all was verified", err)
	default:
	}
	open()
	require.NoError(t, <-served)
	require.Equal(t, Verified, c.State(f.File).Verified)
}

func TestWrongOnceIsFetchedOnceMore(t *testing.T) {
	for _, size := range []int{1000, 900_000, 6 << 20} {
		for _, disk := range []bool{false, true} {
			t.Run(fmt.Sprint(size, disk), func(t *testing.T) {
				f := makeFile(t, size)
				cl := newCloud(f)
				times := 0
				cl.spoil(int64(size)/2, func() bool { times++; return times == 1 })
				var change []func(*Options)
				if disk {
					change = append(change, onDisk(t.TempDir()))
				}
				c := cl.open(t, change...)
				r := c.NewReader(f.File)
				defer r.Close() // not before all is there: what is on its way for a reader ends with it
				_ = sweepWith(r)
				c.awaitVerified(t, f.File)
				readAll(t, c, f)
				require.EqualValues(t, 2*size, cl.moved(t), "all of it, once more")
				require.EqualValues(t, 1, c.Stats().Mismatches)
				fresh := 0
				for _, n := range cl.calls() {
					if n.fresh {
						fresh += int(n.n)
					}
				}
				require.Equal(t, size, fresh, "the second time over another URL")
			})
		}
	}
}

// sweep reads a file from beginning to end without a look at the bytes.
func sweep(t testing.TB, c *Cache, f *cloudFile) error {
	r := c.NewReader(f.File)
	defer r.Close()
	return sweepWith(r)
}

func sweepWith(r *Reader) error {
	p := make([]byte, UnitSize)
	for off := int64(0); off < r.co.size; off += UnitSize {
		if _, err := r.ReadAt(bg, p, off); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

func TestWrongTwiceIsQuarantined(t *testing.T) {
	for _, size := range []int{1000, 900_000, 6 << 20} {
		for _, disk := range []bool{false, true} {
			t.Run(fmt.Sprint(size, disk), func(t *testing.T) {
				f := makeFile(t, size)
				cl := newCloud(f)
				cl.spoil(int64(size)/2, func() bool { return true })
				var out bytes.Buffer
				log := logrus.New()
				log.SetOutput(&out)
				o := func(o *Options) { o.Log = log }
				dir := ""
				if disk {
					dir = t.TempDir()
				}
				c := cl.open(t, onDisk(dir), o)
				err := sweep(t, c, f)
				if size <= smallSize {
					require.ErrorIs(t, err, ErrQuarantined)
				} else {
					require.Error(t, err, "read whole and wrong")
				}
				awaitQuarantined(t, c, f)
				require.Equal(t, State{Quarantined: true}, c.State(f.File))
				require.ErrorIs(t, readAt(t, c, f, 0, 10), ErrQuarantined)
				moved := cl.moved(t)
				require.GreaterOrEqual(t, moved, int64(2*size))
				require.Less(t, moved, int64(2*size+size/2+1), "whole twice, and what a reader gave up meanwhile")
				require.NoError(t, c.Close())
				require.NotContains(t, out.String(), f.Handle)
				if !disk {
					return
				}
				require.Zero(t, contentBytes(t, dir), "none of its bytes is kept")
				c = cl.open(t, onDisk(dir), o)
				require.ErrorIs(t, readAt(t, c, f, 0, 10), ErrQuarantined, "the next mount knows")
				require.NoError(t, c.Drop(f.File))
				cl.change = nil
				require.NoError(t, readAt(t, c, f, 0, 10), "Drop forgets the verdict")
			})
		}
	}
}

func awaitQuarantined(t testing.TB, c *Cache, f *cloudFile) {
	t.Helper()
	require.Eventually(t, func() bool { return c.State(f.File).Quarantined }, testPatience, 1e6)
}

// What is fetched again after its eviction is compared with the MAC of the time when all fitted.
func TestVerifiedFileRefetchedWrong(t *testing.T) {
	f := makeFile(t, 18<<20)
	cl := newCloud(f)
	c := cl.open(t, inMemory(96))
	sweepVerified(t, c, f)
	wrong := true
	cl.spoil(10, func() bool { w := wrong; wrong = false; return w })
	_ = sweep(t, c, f) // its reader may be told
	require.Eventually(t, func() bool { return c.Stats().Mismatches == 1 }, testPatience, 1e6)
	require.Eventually(t, func() bool { return c.State(f.File).Verified == Verified }, testPatience, 1e6)
	require.False(t, c.State(f.File).Quarantined)
}

func sweepVerified(t testing.TB, c *Cache, f *cloudFile) {
	t.Helper()
	require.NoError(t, sweep(t, c, f))
	c.awaitVerified(t, f.File)
}

// megajs folds in one MAC too many when the size ends on a chunk border (PROTOCOL 4.4).
func TestVariantsOfOtherClientsAreAccepted(t *testing.T) {
	f := makeFile(t, 131072)
	extra := megacrypto.ChunkMAC{}
	copy(extra[:8], f.Key.Nonce[:])
	copy(extra[8:], f.Key.Nonce[:])
	cipher := megacrypto.NewCipher(f.Key)
	f.Key.MAC = cipher.MetaMAC(append(f.macs(), extra))
	c := newCloud(f).open(t)
	readAll(t, c, f)
	require.Equal(t, Verified, c.State(f.File).Verified)
}

func TestUnitsInAnyOrderVerify(t *testing.T) {
	f := makeFile(t, 5<<20+33)
	for _, disk := range []string{"", t.TempDir()} {
		cl := newCloud(f)
		c := cl.open(t, onDisk(disk))
		for u := unitEnd(f.Size) - 1; u >= 0; u-- {
			require.NoError(t, readAt(t, c, f, u*UnitSize, unitLen(u, f.Size)))
		}
		c.awaitVerified(t, f.File)
		require.EqualValues(t, f.Size, cl.moved(t))
	}
}

func TestUnknownMACVerifiesNothing(t *testing.T) {
	for _, size := range []int{1000, 3 << 20} {
		f := makeFile(t, size)
		c := newCloud(f).open(t)
		mac := f.Key.MAC
		f.Key.MAC = [8]byte{}
		readAll(t, c, f)
		require.Equal(t, Unverified, c.State(f.File).Verified)
		f.Key.MAC = mac
		readAll(t, c, f)
		c.awaitVerified(t, f.File)
	}
}

func TestMismatchWhileTheCloudIsGone(t *testing.T) {
	f := makeFile(t, 3<<20)
	cl := newCloud(f)
	cl.spoil(5, func() bool { return true })
	cl.fault = func(n *fetched) error {
		if n.fresh {
			return context.DeadlineExceeded
		}
		return nil
	}
	dir := t.TempDir()
	c := cl.open(t, onDisk(dir))
	_ = sweep(t, c, f) // may meet the end of the fetches, or not
	require.Eventually(t, func() bool { return c.Stats().Mismatches == 1 }, testPatience, 1e6)
	require.ErrorIs(t, sweep(t, c, f), context.DeadlineExceeded)
	require.False(t, c.State(f.File).Quarantined)
	require.NoError(t, c.Close())
	cl.fault, cl.change = nil, nil
	c = cl.open(t, onDisk(dir))
	sweepVerified(t, c, f)
	require.False(t, c.State(f.File).Quarantined)
}

// A file read whole is right or its reading fails, also when it was verified before and is fetched again: wherever the
// wrong bytes are, the read that brings the last of them waits for the verdict.
func TestWholeReadsOfWhatWasVerifiedBefore(t *testing.T) {
	f := makeFile(t, 18<<20)
	cl := newCloud(f)
	c := cl.open(t, inMemory(minUnits))
	var wrong atomic.Int64 // where the next byte is to be wrong; -1: nowhere
	wrong.Store(-1)
	cl.change = func(off int64, b []byte) {
		if at := wrong.Load(); off <= at && at < off+int64(len(b)) && wrong.CompareAndSwap(at, -1) {
			b[at-off] ^= 0x40
		}
	}
	sweepVerified(t, c, f)
	for _, at := range []int64{f.Size - 1, f.Size - 200_000, f.Size - 1<<20, 9 << 20, 0} {
		wrong.Store(at)
		got := make([]byte, f.Size)
		r := c.NewReader(f.File)
		_, err := io.ReadFull(io.NewSectionReader(inContext{r}, 0, f.Size), got)
		r.Close()
		if err != nil {
			require.ErrorIs(t, err, ErrWrong, "wrong at %d", at)
		} else {
			require.True(t, bytes.Equal(f.plain, got), "wrong at %d", at)
		}
		require.Eventually(t, func() bool {
			return sweep(t, c, f) == nil && c.State(f.File).Verified == Verified
		}, testPatience, 1e6)
	}
}

// inContext is a reader as an io.ReaderAt.
type inContext struct{ r *Reader }

func (i inContext) ReadAt(p []byte, off int64) (int, error) { return i.r.ReadAt(bg, p, off) }

// Who had a file open while wrong bytes of it came hears of it, also if its program had them from the kernel; and that
// they came is not forgotten with the content.
func TestAllReadersHearOfWrongBytes(t *testing.T) {
	a, b := seededFile(3<<20, 1), seededFile(3<<20, 2)
	const at = 2 << 20
	var once atomic.Bool
	c := newCloud(nil).open(t, func(o *Options) {
		o.Fetch = func(_ context.Context, f File, off, n int64, w io.Writer) error {
			from := a
			if f.Key.Nonce == b.Key.Nonce {
				from = b
			}
			piece := bytes.Clone(from.cipher[off : off+n])
			if from == a && off <= at && at < off+n && !once.Swap(true) {
				piece[at-off] ^= 1
			}
			_, err := w.Write(piece)
			return err
		}
	})
	c.idleMost = 0
	other := c.NewReader(a.File)
	require.ErrorIs(t, sweep(t, c, a), ErrWrong)
	_, err := other.ReadAt(bg, make([]byte, 10), 0)
	require.ErrorIs(t, err, ErrWrong)
	other.Close()
	require.NoError(t, sweep(t, c, b))
	require.Eventually(t, func() bool { return sweep(t, c, a) == nil }, testPatience, 1e6)
	_, standing := c.Standing(a.File, 0)
	require.Equal(t, Refuted, standing, "who keeps some of it must forget that")
	_, standing = c.Standing(b.File, 0)
	require.NotEqual(t, Refuted, standing)
}
