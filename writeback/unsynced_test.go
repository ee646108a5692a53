package writeback

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// After a sync of the database has failed, nothing is called safe by this process, and nothing is sent: what is sent must be noted
// before. Status and flush say so. The next mount sends it.
func TestFailedSyncHaltsUntilTheNextMount(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "content")
	f := r.edit("f")
	require.NoError(t, f.Fsync(r.ctx))
	bad := filepath.Join(r.dir, treeDir, "00000.mem") // a full log of which the kernel says that it can't be synced
	require.NoError(t, os.Symlink("/proc/self/status", bad))
	require.ErrorIs(t, f.Fsync(r.ctx), unix.EINVAL)
	require.NoError(t, os.Remove(bad))
	require.ErrorIs(t, f.Fsync(r.ctx), unix.EINVAL, "the failure isn't forgotten")
	f.Release()
	require.Contains(t, r.engine.Status().Walls, errUnsynced.Error())
	var halted *HaltedError
	require.ErrorAs(t, r.engine.Flush(r.ctx, 0), &halted)
	require.ErrorIs(t, halted, errUnsynced)
	require.Zero(t, r.sent("p"))

	r.stop()
	r.start()
	require.Empty(t, r.engine.Status().Walls)
	r.flush()
	require.Equal(t, map[string]string{"f": "content"}, r.cloud())
}
