package writeback

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
)

// The storage server has all of a file and has given the token, but the end of the upload failed, or the process died
// before it: the MAC of all that goes into the node's key is still made.
func TestUploadThatEndedBeforeItsMAC(t *testing.T) {
	r := newRig(t, settleNever)
	content := strings.Repeat("content", 100<<10)
	r.write("f", content)
	g, err := r.engine.frozen(r.ctx, r.ino("f"))
	require.NoError(t, err)
	src := &generationReader{ctx: r.ctx, e: r.engine, g: g}
	require.NoError(t, r.engine.client.Upload(r.ctx, "", &g.State, src, megaclient.UploadHooks{}))
	g.State.Key.MAC, g.State.Chunks = [8]byte{}, g.State.Chunks[:1]
	r.flush()
	require.True(t, r.cloud()["f"] == content)
}
