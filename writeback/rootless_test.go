package writeback

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
)

// forgetful is a cloud that leaves all nodes out of its next tree.
type forgetful struct {
	Cloud
	next *atomic.Bool
}

func (f forgetful) FetchNodes(ctx context.Context, cached bool, fn func(*megaclient.Node) error) (*megaclient.FetchResult, error) {
	if f.next.Swap(false) {
		fn = func(*megaclient.Node) error { return nil }
	}
	return f.Cloud.FetchNodes(ctx, cached, fn)
}

// A tree without its root can't be all that there is: nothing goes because it isn't in it.
func TestATreeWithoutItsRootIsNone(t *testing.T) {
	var next atomic.Bool
	r := newRig(t, func(o *Options) {
		settleNever(o)
		o.Client = forgetful{o.Client, &next}
	})
	r.account.PutFile(r.account.Root(), "a", []byte("A"), time.Time{})
	r.caughtUp()
	ino := r.ino("a")
	r.stop()
	r.account.PutFile(r.account.Root(), "b", []byte("B"), time.Time{})
	next.Store(true)
	r.server.Faults().ForgetPackets()
	r.start()
	r.caughtUp()
	require.False(t, next.Load())
	require.ElementsMatch(t, []string{"a", "b"}, r.names(""))
	require.Equal(t, ino, r.ino("a"))
}
