package writeback

import (
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// A second save comes while the p of the first is on its way. The inode that the p is for is removed by then, and had
// no handle when it was: what the second save replaces is the version that the answer names.
func TestSaveWhileASaveIsOnItsWay(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "one")
	r.flush()
	r.caughtUp()

	r.write("tmp", "two")
	r.rename("tmp", "f")
	release := r.server.Faults().Hold("p")
	done := make(chan error, 1)
	go func() { done <- r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.write("tmp", "three")
	r.rename("tmp", "f")
	release()
	r.flush() // nothing settles in this test, so the first flush waits for what this one sends
	require.NoError(t, <-done)
	require.Equal(t, map[string]string{"f": "three"}, r.cloud())
}
