package cache

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stored gives a folder in which a cache has all of a file.
func stored(t *testing.T, f *cloudFile) (dir string) {
	t.Helper()
	dir = t.TempDir()
	c, err := Open(Options{Dir: dir, DiskFloor: -1, DiskLimit: -1, Fetch: newCloud(f).fetch})
	require.NoError(t, err)
	readAll(t, c, f)
	require.NoError(t, c.Close())
	return dir
}

// longFile is three times as long as what is read ahead from disk.
func longFile(t *testing.T) *cloudFile { return makeFile(t, 3*loadAhead*UnitSize) }

// readerOnDisk opens a file that is all on disk, and nowhere else.
func readerOnDisk(t *testing.T, f *cloudFile, change ...func(*Options)) (*Cache, *Reader) {
	t.Helper()
	c := offline(f).open(t, append(change, onDisk(stored(t, f)))...)
	r := c.NewReader(f.File)
	t.Cleanup(r.Close)
	return c, r
}

// offline is a cloud that gives nothing.
func offline(f *cloudFile) *cloud {
	cl := newCloud(f)
	cl.fault = func(*fetched) error { return errors.New("asked for what is on disk") }
	return cl
}

// loadedAhead waits until nothing more is being read ahead from disk.
func (r *Reader) loadedAhead(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		return r.loading == 0
	}, testPatience, time.Millisecond)
}

// inMemoryNow gives how many units of a reader's file are in memory or on their way there, and the last of them.
func (r *Reader) inMemoryNow() (n int, last int64) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	for u := range r.co.units {
		last = max(last, u)
	}
	return len(r.co.units), last
}

// What is on disk behind a program that reads on and on comes into memory by itself, and no more than that.
func TestAStreamIsReadAheadFromDisk(t *testing.T) {
	f := longFile(t)
	c, r := readerOnDisk(t, f)
	for u := range int64(3) {
		require.NoError(t, readWith(t, r, f, u*UnitSize, UnitSize))
	}
	r.loadedAhead(t)
	n, last := r.inMemoryNow()
	require.EqualValues(t, n, last+1, "they follow each other")
	require.EqualValues(t, (2+loadAhead)/loadUnits*loadUnits+loadUnits-1, last, "whole spans, of which the last begins where it may")
	readAll(t, c, f)
}

// However much there is to be read ahead, no more than a few spans are asked of the disk at once.
func TestFewSpansAreReadAheadAtOnce(t *testing.T) {
	f := longFile(t)
	_, r := readerOnDisk(t, f)
	for u := range int64(20) {
		require.NoError(t, readWith(t, r, f, u*UnitSize, UnitSize))
		r.c.mu.Lock()
		loading := r.loading
		r.c.mu.Unlock()
		require.LessOrEqual(t, loading, loadSpans)
	}
	r.loadedAhead(t)
	n, _ := r.inMemoryNow()
	require.Greater(t, n, loadSpans*loadUnits, "and then more of them")
}

// Who jumps about gets what he asked for.
func TestJumpsAreNotReadAheadFromDisk(t *testing.T) {
	f := longFile(t)
	_, r := readerOnDisk(t, f)
	for _, u := range []int64{50, 10, 80, 30, 65} {
		require.NoError(t, readWith(t, r, f, u*UnitSize, 4096))
	}
	n, _ := r.inMemoryNow()
	require.Equal(t, 5, n)
}

// What was read ahead and is wrong is fetched, nothing else is, and the program sees the right bytes.
func TestReadAheadFromDiskFindsWhatIsWrong(t *testing.T) {
	f := longFile(t)
	dir := stored(t, f)
	cl := newCloud(f)
	c := cl.open(t, onDisk(dir))
	co := c.hold(f.File)
	defer c.release(co)
	file, err := os.OpenFile(c.store.path(co.id), os.O_RDWR, 0)
	require.NoError(t, err)
	const wrong = loadAhead + 3
	_, err = file.WriteAt([]byte{^f.cipher[wrong*UnitSize+5]}, wrong*UnitSize+5)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	readAll(t, c, f)
	require.EqualValues(t, 1, c.Stats().Corrupt)
	require.EqualValues(t, UnitSize, cl.moved(t))
}

// A reader, and a cache, can be closed while something is being read ahead.
func TestClosingWhileReadingAheadFromDisk(t *testing.T) {
	f := longFile(t)
	dir := stored(t, f)
	for u := range int64(10) {
		c := offline(f).open(t, onDisk(dir))
		r := c.NewReader(f.File)
		for i := range u {
			require.NoError(t, readWith(t, r, f, (u+i)*UnitSize, UnitSize))
		}
		if u%2 == 0 {
			r.Close()
		}
		require.NoError(t, c.Close())
		r.Close()
	}
}

// However many streams there are, what is read ahead for them leaves most of the memory alone.
func TestReadingAheadFromDiskIsShared(t *testing.T) {
	f := longFile(t)
	_, r := readerOnDisk(t, f, inMemory(minUnits))
	for u := range int64(3) {
		require.NoError(t, readWith(t, r, f, u*UnitSize, UnitSize))
	}
	r.loadedAhead(t)
	_, last := r.inMemoryNow()
	require.Less(t, last, int64(3+minUnits/4+loadUnits))
}
