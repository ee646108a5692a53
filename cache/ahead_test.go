package cache

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// folder is many small files and an empty one.
func folder(n int) (files []*cloudFile, all []File, byNonce map[[8]byte]*cloudFile) {
	byNonce = map[[8]byte]*cloudFile{}
	for i := range n {
		files = append(files, seededFile(8<<10+i, uint64(i)))
	}
	files = append(files, seededFile(0, 98))
	for _, f := range files {
		byNonce[f.Key.Nonce] = f
		all = append(all, f.File)
	}
	return files, all, byNonce
}

func TestPrefetchFetchesSmallFilesOnceAndAhead(t *testing.T) {
	for _, disk := range []bool{false, true} {
		files, all, byNonce := folder(40)
		var fetched int64
		var mu sync.Mutex
		var prepared []File
		o := Options{DiskFloor: -1, Fetch: manyFetch(byNonce, &fetched), Prepare: func(_ context.Context, fs []File) {
			mu.Lock()
			defer mu.Unlock()
			prepared = append(prepared, fs...)
		}}
		if disk {
			o.Dir = t.TempDir()
		}
		c, err := Open(o)
		require.NoError(t, err)
		c.Prefetch(all)
		for _, f := range files[:40] {
			readAll(t, c, f)
		}
		c.Prefetch(all[:40]) // all of it is here
		require.NoError(t, c.Close())
		require.LessOrEqual(t, len(prepared), 40, "in one go, and not the empty one")
		want := int64(0)
		for _, f := range all[:40] {
			want += f.Size
		}
		require.Equal(t, want, fetched)
		require.Zero(t, c.Stats().Wasted)
		c.checkInvariants(t)
		checkAllGiven(t, c)
	}
}

// TestPrefetchOfLargeFilesIsTheirBeginning: who looks at the first KiB of each then waits for nothing, and who reads on
// is served what the unit has.
func TestPrefetchOfLargeFilesIsTheirBeginning(t *testing.T) {
	var files []File
	byNonce := map[[8]byte]*cloudFile{}
	for i := range 40 {
		f := seededFile(3<<20+i, uint64(i))
		byNonce[f.Key.Nonce], files = f, append(files, f.File)
	}
	var fetched int64
	c, err := Open(Options{Fetch: manyFetch(byNonce, &fetched)})
	require.NoError(t, err)
	ahead := int64(len(files)) * beginningLen
	c.Prefetch(files)
	require.Eventually(t, func() bool { return c.Stats().Fetched == ahead }, testPatience, time.Millisecond)
	for _, f := range files[:30] {
		r := c.NewReader(f)
		for range 2 {
			require.NoError(t, readWith(t, r, byNonce[f.Key.Nonce], 0, 4096))
			require.NoError(t, readWith(t, r, byNonce[f.Key.Nonce], 4096, 12<<10))
		}
		r.Close()
	}
	require.Equal(t, ahead, c.Stats().Fetched, "nothing was fetched for it")
	for _, f := range files[:30] {
		readAll(t, c, byNonce[f.Key.Nonce])
		c.awaitVerified(t, f)
	}
	require.Equal(t, Verified, c.State(files[0]).Verified)
	require.Zero(t, c.Stats().Mismatches)
	c.mu.Lock()
	c.beginnings.Purge()
	c.mu.Unlock()
	require.NoError(t, c.Close())
	require.EqualValues(t, 10*beginningLen, c.Stats().Wasted, "what nobody read")
	c.checkInvariants(t)
	checkAllGiven(t, c)
}

// TestBeginningsAreComparedWithWhatComes: bytes that were served of a beginning and are others in the unit are found out.
func TestBeginningsAreComparedWithWhatComes(t *testing.T) {
	f := seededFile(3<<20, 1)
	var fetched int64
	honest := manyFetch(map[[8]byte]*cloudFile{f.Key.Nonce: f}, &fetched)
	lie := true
	c, err := Open(Options{Fetch: func(ctx context.Context, file File, off, n int64, w io.Writer) error {
		if !lie {
			return honest(ctx, file, off, n, w)
		}
		lie = false
		_, err := w.Write(make([]byte, n))
		return err
	}})
	require.NoError(t, err)
	c.fetchBeginning(f.File)
	r := c.NewReader(f.File)
	defer r.Close()
	got := make([]byte, 4096)
	n, err := r.ReadAt(t.Context(), got, 0)
	require.NoError(t, err, "nothing of a large file is verified before it is whole")
	require.Equal(t, len(got), n)
	require.NotEqual(t, f.plain[:4096], got)
	_, _ = r.ReadAt(t.Context(), make([]byte, 1<<20), 0)
	require.Eventually(t, func() bool { return c.Stats().Mismatches > 0 }, testPatience, time.Millisecond)
	require.NoError(t, c.Close())
}

func TestStrictFetchesNoBeginnings(t *testing.T) {
	f := seededFile(3<<20, 1)
	var fetched int64
	c, err := Open(Options{Fetch: manyFetch(map[[8]byte]*cloudFile{f.Key.Nonce: f}, &fetched), Strict: true})
	require.NoError(t, err)
	c.Prefetch([]File{f.File})
	require.NoError(t, c.Close())
	require.Zero(t, fetched, "nothing of a file is served before all of it is verified")
}

func TestPrefetchObeysTheBudget(t *testing.T) {
	_, all, byNonce := folder(10)
	var fetched int64
	c, err := Open(Options{Fetch: manyFetch(byNonce, &fetched)})
	require.NoError(t, err)
	c.SetMetered(true)
	c.Prefetch(all)
	require.NoError(t, c.Close())
	require.Zero(t, fetched)
	c.Prefetch(all)
}

// What was fetched ahead and left memory unread is waste.
func TestPrefetchThatNobodyReadsIsWaste(t *testing.T) {
	files, all, byNonce := folder(20)
	var fetched int64
	c, err := Open(Options{Fetch: manyFetch(byNonce, &fetched)})
	require.NoError(t, err)
	defer c.Close()
	c.Prefetch(all[:20])
	require.Eventually(t, func() bool { return c.Stats().Fetched >= 20*8<<10 && c.State(all[19]).Cached > 0 }, testPatience, time.Millisecond)
	for _, f := range all[:10] {
		require.NoError(t, c.Drop(f))
	}
	require.Positive(t, c.Stats().Wasted)
	readAll(t, c, files[15])
	c.checkInvariants(t)
}
