package writeback

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A block goes bad under a running engine: that range can't be read, the rest can, and the file isn't uploaded; status
// says why.
func TestBlockThatGoesBadIsHeldBack(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", strings.Repeat("a", 128<<10)+strings.Repeat("b", 128<<10))
	segments, err := filepath.Glob(filepath.Join(r.dir, stagingDir, "*.seg"))
	require.NoError(t, err)
	require.Len(t, segments, 1)
	raw, err := os.ReadFile(segments[0])
	require.NoError(t, err)
	raw[len(raw)-1000] ^= 1 // in the last record
	require.NoError(t, os.WriteFile(segments[0], raw, 0o600))

	f := r.edit("f")
	defer f.Release()
	buf := make([]byte, 128<<10)
	_, err = f.ReadAt(r.ctx, buf, 0)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("a", 128<<10), string(buf))
	_, err = f.ReadAt(r.ctx, buf, 128<<10)
	require.Error(t, err)
	err = r.engine.Flush(r.ctx, 0)
	require.Error(t, err)
	require.NotContains(t, r.cloud(), "f")
	pending := r.engine.Status().Pending
	require.Len(t, pending, 1)
	require.NotEmpty(t, pending[0].Reason)
	require.True(t, pending[0].Held)
}
