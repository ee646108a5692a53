package tree

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
)

// The database is opened anew at the end of the first fetch. Who reads meanwhile, also from within a view, notices nothing.
func TestOpenedAnewAfterTheFirstFetch(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	open := func() *Tree {
		tr, err := Open(Options{Dir: dir, Key: [32]byte{9}})
		require.NoError(t, err)
		return tr
	}
	isFilling := func(tr *Tree) bool {
		tr.writeMu.Lock()
		defer tr.writeMu.Unlock()
		return tr.filling
	}
	const files = 100
	apply := func(tr *Tree, from, to int) {
		require.NoError(t, tr.Update(ctx, func(tx *Tx) error {
			for _, n := range roots() {
				if err := tx.ApplyNode(n, ""); err != nil {
					return err
				}
			}
			for i := from; i < to; i++ {
				name := fmt.Sprintf("%08d", i)
				if err := tx.ApplyNode(file(megaclient.Handle(name), rootH, name), ""); err != nil {
					return err
				}
			}
			return nil
		}))
	}

	tr := open()
	require.True(t, isFilling(tr))
	_, err := tr.BeginFetch(ctx)
	require.NoError(t, err)
	apply(tr, 0, files)
	require.NoError(t, tr.Close()) // in the middle of the fetch

	tr = open()
	require.True(t, isFilling(tr))
	epoch, err := tr.BeginFetch(ctx)
	require.NoError(t, err)
	apply(tr, 1, files)

	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				err := tr.View(func(tx *Tx) error {
					if _, err := tx.Lookup(DriveIno, fmt.Sprintf("%08d", 1+n%(files-1))); err != nil {
						return err
					}
					_, err := tr.ReadDir(DriveIno, "", 10)
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	require.NoError(t, tr.EndFetch(ctx, epoch))
	close(stop)
	readers.Wait()
	require.False(t, isFilling(tr))
	list, err := tr.ReadDir(DriveIno, "", 0)
	require.NoError(t, err)
	require.Len(t, list, files-1) // the first one was not named again
	require.NoError(t, tr.Close())

	tr = open()
	require.False(t, isFilling(tr))
	require.NoError(t, tr.Close())
}

// Who is in the database holds up its exchange, and nobody else.
func TestAloneInTheDatabase(t *testing.T) {
	var u users
	require.NoError(t, u.enter())
	done := make(chan error)
	go func() { done <- u.alone(func() error { return nil }) }()
	require.NoError(t, u.enter())
	u.leave()
	select {
	case <-done:
		t.Fatal("somebody was still there")
	default:
	}
	u.leave()
	require.NoError(t, <-done)
	require.ErrorIs(t, u.alone(func() error { return ErrCorrupt }), ErrCorrupt)
	require.ErrorIs(t, u.enter(), ErrClosed)
	require.True(t, u.close())
	require.False(t, u.close())
}
