package fs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// newRequest makes a request as a bridge would, and what a test does to it.
func newRequest() (r *request, interrupt, unmount func()) {
	life, unmount := lifetime("mount")
	cancel := make(chan struct{})
	b := &bridge{life: life}
	return b.request(cancel), func() { close(cancel) }, unmount
}

func TestInterruptEndsARequestAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, interrupt, unmount := newRequest()
		defer unmount()
		defer r.end()
		done := r.Done()
		begin := time.Now()
		interrupt()
		<-done
		require.Equal(t, interruptGrace, time.Since(begin))
		require.ErrorIs(t, r.Err(), context.Canceled)
	})
}

func TestAnInterruptThatNobodyWaitsForIsSeenByErr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, interrupt, unmount := newRequest()
		defer unmount()
		defer r.end()
		interrupt()
		require.NoError(t, r.Err(), "data that comes at once is still delivered")
		time.Sleep(interruptGrace)
		require.ErrorIs(t, r.Err(), context.Canceled)
	})
}

func TestUnmountEndsARequestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, unmount := newRequest()
		defer r.end()
		done := r.Done()
		begin := time.Now()
		unmount()
		<-done
		require.Zero(t, time.Since(begin))
		require.ErrorIs(t, r.Err(), context.Canceled)
	})
}

func TestUnmountCutsTheGraceShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, interrupt, unmount := newRequest()
		defer r.end()
		done := r.Done()
		interrupt()
		synctest.Wait()
		begin := time.Now()
		unmount()
		<-done
		require.Zero(t, time.Since(begin))
	})
}

// An answered request leaves no goroutine behind (synctest fails if one is left), and doesn't hear an interrupt that
// comes later on the same channel, which go-fuse uses again.
func TestAnAnsweredRequestIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, interrupt, unmount := newRequest()
		defer unmount()
		done := r.Done()
		r.end()
		synctest.Wait()
		interrupt()
		time.Sleep(2 * interruptGrace)
		select {
		case <-done:
			require.Fail(t, "an answered request was interrupted")
		default:
		}
	})
}

func TestContextsDerivedFromARequestEndWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, interrupt, unmount := newRequest()
		defer unmount()
		defer r.end()
		cause := errors.New("why")
		child, cancel := context.WithTimeoutCause(r, time.Hour, cause)
		defer cancel()
		interrupt()
		<-child.Done()
		require.ErrorIs(t, child.Err(), context.Canceled)
	})
}

func TestCloseCanNotBeInterrupted(t *testing.T) {
	life, unmount := lifetime("mount")
	b := &bridge{life: life}
	r := b.unbreakable()
	require.NoError(t, r.Err())
	unmount()
	<-r.Done()
	require.ErrorIs(t, r.Err(), context.Canceled)
}
