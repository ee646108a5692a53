package writeback

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesThatAreNoTextSurviveACrash: a batch row with such a name opens.
func TestNamesThatAreNoTextSurviveACrash(t *testing.T) {
	r := newRig(t, settleNever)
	release := r.server.Faults().Hold("p")
	r.write("caf\xe9", "x")
	flushed := make(chan error, 1)
	go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
	r.eventually(r.engine.hasFlight)
	r.crash()
	require.Error(t, <-flushed)
	release()
	r.start()
	r.flush()
	require.Len(t, r.cloud(), 1)
	require.Equal(t, "x", r.read("caf\xe9"))
}
