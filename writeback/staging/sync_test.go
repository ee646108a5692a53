package staging

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// Callers that come while a sync runs share the next one, and it begins only
// then.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, Options{})
		var rounds atomic.Int32
		gate := make(chan struct{})
		s.fsync = func(f *os.File) error {
			rounds.Add(1)
			<-gate
			return fdatasync(f)
		}
		var callers sync.WaitGroup
		call := func() {
			mustAppend(t, s, testOwner, 0, []byte("abc"))
			callers.Go(func() { require.NoError(t, s.Sync(t.Context())) })
		}
		call()
		synctest.Wait()
		require.EqualValues(t, 1, rounds.Load())
		for range 10 {
			call()
		}
		synctest.Wait()
		require.EqualValues(t, 1, rounds.Load(), "the second round waits for the first")
		gate <- struct{}{}
		synctest.Wait()
		require.EqualValues(t, 2, rounds.Load())
		gate <- struct{}{}
		callers.Wait()
		require.EqualValues(t, 2, rounds.Load(), "ten callers, one sync")
		require.NoError(t, s.Sync(t.Context()))
		require.EqualValues(t, 2, rounds.Load(), "nothing was dirty")
		close(gate)
	})
}

func TestSyncIsInterruptible(t *testing.T) {
	s := openStore(t, Options{})
	mustAppend(t, s, testOwner, 0, []byte("abc"))
	begun, gate := make(chan struct{}), make(chan struct{})
	s.fsync = func(*os.File) error {
		close(begun)
		<-gate
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-begun
		cancel()
	}()
	require.ErrorIs(t, s.Sync(ctx), context.Canceled)
	close(gate)
}

// After a failed fdatasync the kernel calls the lost pages clean. The bytes
// are written again before anybody is told that they are safe.
func TestSyncFailureIsNotForgotten(t *testing.T) {
	s := openStore(t, Options{})
	es := mustAppend(t, s, testOwner, 0, content(1, 200000))
	var fail atomic.Bool // a round of syncing goes on when nobody waits for it any more
	var rewritten atomic.Int64
	fail.Store(true)
	s.write = func(f *os.File, p []byte, off int64) (int, error) {
		rewritten.Add(int64(len(p)))
		return f.WriteAt(p, off)
	}
	s.fsync = func(f *os.File) error {
		if fail.Load() {
			return syscall.EIO
		}
		return fdatasync(f)
	}
	require.ErrorIs(t, s.Sync(context.Background()), syscall.EIO)
	require.ErrorIs(t, s.Sync(context.Background()), syscall.EIO, "again, though nothing was appended")
	other := mustAppend(t, s, testOwner, 0, content(2, 5000))
	require.NotEqual(t, es[0].Seg, other[0].Seg, "a segment on a bad spot isn't appended to")

	settle(s) // with a new segment began a round that nobody waits for
	fail.Store(false)
	rewritten.Store(0)
	mustSync(t, s)
	require.Greater(t, rewritten.Load(), int64(200000))
	mustAppend(t, s, testOwner, 0, content(2, 10))
	rewritten.Store(0)
	mustSync(t, s)
	require.Zero(t, rewritten.Load())
	requireContent(t, content(1, 200000), readBack(t, s, es))
}

// What the failed sync lost can't be called safe, until nobody needs it.
func TestSyncFailureThatLostBytes(t *testing.T) {
	s := openStore(t, Options{})
	es := mustAppend(t, s, testOwner, 0, content(1, 5000))
	s.fsync = func(f *os.File) error {
		_, err := f.WriteAt(make([]byte, 100), es[0].Pos+3000)
		require.NoError(t, err)
		return syscall.EIO
	}
	require.ErrorIs(t, s.Sync(context.Background()), syscall.EIO)
	s.fsync = fdatasync
	for range 3 {
		var corrupt *CorruptError
		require.ErrorAs(t, s.Sync(context.Background()), &corrupt)
		require.Equal(t, CorruptError{Seg: es[0].Seg, Pos: es[0].Pos, Err: ErrSeal}, *corrupt)
	}
	s.Release(es...)
	mustSync(t, s)
}

// Full segments are synced in the background; their failure shows in the next
// Sync.
func TestFullSegmentsAreSynced(t *testing.T) {
	s := openStore(t, Options{SegmentSize: 4096})
	var synced atomic.Int32
	s.fsync = func(f *os.File) error {
		if synced.Add(1) == 1 {
			return syscall.EIO
		}
		return fdatasync(f)
	}
	mustAppend(t, s, testOwner, 0, content(1, 3000))
	mustAppend(t, s, testOwner, 0, content(2, 3000))
	s.tasks.Wait()
	require.Positive(t, synced.Load())
	mustSync(t, s)
	require.GreaterOrEqual(t, synced.Load(), int32(2))
}

// The folder's entries of new segments are synced too, until it works.
func TestSyncOfTheFolder(t *testing.T) {
	s := openStore(t, Options{})
	mustAppend(t, s, testOwner, 0, content(1, 5000))
	require.NoError(t, os.Rename(s.dir, s.dir+".away"))
	require.ErrorIs(t, s.Sync(context.Background()), os.ErrNotExist)
	require.ErrorIs(t, s.Sync(context.Background()), os.ErrNotExist)
	require.NoError(t, os.Rename(s.dir+".away", s.dir))
	mustSync(t, s)
	require.False(t, s.dirDirty)
}

// An append that was written before a sync failed and lands after it may have
// lost its bytes: they are written again as well.
func TestSyncFailureMeetsAnAppend(t *testing.T) {
	s := openStore(t, Options{})
	mustAppend(t, s, testOwner, 0, content(1, 5000))
	plain, rewritten := s.write, 0
	s.fsync = func(*os.File) error { return syscall.EIO }
	s.write = func(f *os.File, p []byte, off int64) (int, error) {
		n, err := plain(f, p, off)
		s.write = plain
		require.ErrorIs(t, s.Sync(context.Background()), syscall.EIO)
		s.fsync = fdatasync
		mustSync(t, s)
		s.write = func(f *os.File, p []byte, off int64) (int, error) {
			rewritten += len(p)
			return plain(f, p, off)
		}
		return n, err
	}
	mustAppend(t, s, testOwner, 0, content(2, 5000))
	mustSync(t, s)
	require.Greater(t, rewritten, 10000)
}
