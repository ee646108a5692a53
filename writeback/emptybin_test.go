package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// What was taken out of a folder in the bin here, and isn't out of it in the cloud yet, doesn't go with the folder; what
// lies beside that does, and the folder does the next time.
func TestEmptyBinSparesWhatIsOnItsWayOut(t *testing.T) {
	r := newRig(t, settleNever)
	dir := r.account.Mkdir(r.account.Root(), "dir")
	file := r.account.PutFile(r.account.Mkdir(dir, "sub"), "file", []byte("x"), time.Unix(1, 0))
	other := r.account.PutFile(r.account.Root(), "other", []byte("y"), time.Unix(1, 0))
	r.account.Trash(dir)
	r.account.Trash(other)
	r.caughtUp()
	top, err := r.engine.tree.Lookup(tree.BinIno, "dir")
	require.NoError(t, err)
	sub, err := r.engine.tree.Lookup(top.Ino, "sub")
	require.NoError(t, err)
	require.NoError(t, r.engine.Rename(r.ctx, sub.Ino, "file", tree.DriveIno, "file", true))
	empty := func() {
		gone, err := r.engine.EmptyBin(r.ctx, time.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, gone)
	}
	empty()
	require.False(t, r.account.Exists(other))
	r.flush()
	r.caughtUp()
	require.Equal(t, map[string]string{"file": "x"}, r.cloud())
	empty()
	require.False(t, r.account.Exists(dir))
	require.True(t, r.account.Exists(file))
}

// Nor does what is to be copied and isn't yet.
func TestEmptyBinSparesWhatIsToBeCopied(t *testing.T) {
	r := newRig(t, settleNever)
	source := r.account.PutFile(r.account.Root(), "source", []byte("x"), time.Unix(1, 0))
	r.caughtUp()
	r.cp("source", "copy")
	r.account.Trash(source)
	r.caughtUp()
	gone, err := r.engine.EmptyBin(r.ctx, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Zero(t, gone)
	r.flush()
	require.Equal(t, map[string]string{"copy": "x"}, r.cloud())
}
