package writeback

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
)

// What a power cut has damaged stays held back, also when the cloud refuses another change of the same file at first.
func TestHeldBackThroughARefusedRename(t *testing.T) {
	r := newRig(t, nil)
	r.write("f", "in the cloud")
	r.flush()
	r.engine.Pause()
	r.write("f", "mended after a power cut")
	require.NoError(t, r.engine.update(r.ctx, func(c *change) error { return c.refuse(r.ino("f"), ErrHeldBack, true) }))
	r.rename("f", "g")
	r.server.Faults().FailCommand("a", int(megaclient.ENOENT), 1)
	r.engine.Resume()
	r.eventually(func() bool { return r.cloud()["g"] != "" })
	require.ErrorIs(t, r.engine.Flush(r.ctx, 0), ErrHeldBack)
	require.Equal(t, map[string]string{"g": "in the cloud"}, r.cloud())
	require.Equal(t, "mended after a power cut", r.read("g"))
	// Removed, it has nothing to hold back.
	r.unlink("g")
	r.flush()
	require.Empty(t, r.cloud())
}

// What was frozen by an earlier run is verified before it goes up. That it can't be read at that moment (for want of
// descriptors, say) is no damage: it says so, and is tried again.
func TestFrozenContentThatCannotBeReadNow(t *testing.T) {
	r := newRig(t, settleNever)
	content := strings.Repeat("frozen", resumeSize/6+1)
	r.write("f", content)
	g, err := r.engine.frozen(r.ctx, r.ino("f"))
	require.NoError(t, err)
	require.NoError(t, r.engine.storeGeneration(r.ctx, g))
	r.crash()
	r.open()
	segments, err := filepath.Glob(filepath.Join(r.dir, stagingDir, "*.seg"))
	require.NoError(t, err)
	require.Len(t, segments, 1)
	require.NoError(t, os.Rename(segments[0], segments[0]+".away"))
	require.NoError(t, os.Mkdir(segments[0], 0o700))
	r.run()
	require.Error(t, r.engine.Flush(r.ctx, 0))
	pending := r.engine.Status().Pending
	require.Len(t, pending, 1)
	require.False(t, pending[0].Held)
	require.NotEmpty(t, pending[0].Reason)

	require.NoError(t, os.Remove(segments[0]))
	require.NoError(t, os.Rename(segments[0]+".away", segments[0]))
	r.eventually(func() bool { return r.engine.Flush(r.ctx, 0) == nil })
	require.True(t, r.cloud()["f"] == content)
}
