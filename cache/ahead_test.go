package cache

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// folder is many small files and one that is not.
func folder(n int) (files []*cloudFile, all []File, byNonce map[[8]byte]*cloudFile) {
	byNonce = map[[8]byte]*cloudFile{}
	for i := range n {
		files = append(files, seededFile(8<<10+i, uint64(i)))
	}
	files = append(files, seededFile(2<<20, 99), seededFile(0, 98))
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
		require.LessOrEqual(t, len(prepared), 40, "in one go, and neither the large nor the empty one")
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
