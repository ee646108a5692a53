package writeback

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
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

// Nor does what others took out, of which nobody has heard yet: the server is asked what is new before anything goes.
func TestEmptyBinSparesWhatOthersTookOut(t *testing.T) {
	r := newRig(t, settleNever)
	kept := r.account.PutFile(r.account.Root(), "kept", []byte("x"), time.Unix(1, 0))
	gone := r.account.PutFile(r.account.Root(), "gone", []byte("y"), time.Unix(1, 0))
	r.account.Trash(kept)
	r.account.Trash(gone)
	r.caughtUp()
	r.server.Faults().FailHTTP(megatest.Events, 503, megatest.Always)
	r.account.Move(kept, r.account.Root())
	asked, cancel := context.WithTimeout(r.ctx, 100*time.Millisecond)
	defer cancel()
	_, err := r.engine.EmptyBin(asked, time.Now().Add(time.Hour))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, r.server.Stats().Commands["d"], "nobody says what is new")
	r.server.Faults().Clear()
	n, err := r.engine.EmptyBin(r.ctx, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.True(t, r.account.Exists(kept))
	require.False(t, r.account.Exists(gone))
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

// Nor does what is taken out while others are on their way.
func TestEmptyBinSparesWhatIsTakenOutMeanwhile(t *testing.T) {
	r := newRig(t, settleNever)
	last := ""
	for i := range binBatch + 1 {
		last = r.account.PutFile(r.account.Root(), fmt.Sprintf("%04d", i), []byte("x"), time.Unix(1, 0))
		r.account.Trash(last)
	}
	r.caughtUp()
	release := r.server.Faults().Hold("d")
	defer release()
	emptied := make(chan error, 1)
	go func() {
		_, err := r.engine.EmptyBin(r.ctx, time.Now().Add(time.Hour))
		emptied <- err
	}()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	name := fmt.Sprintf("%04d", binBatch)
	_, err := r.engine.RestoreFromBin(r.ctx, name, 0)
	require.NoError(t, err)
	release()
	require.NoError(t, <-emptied)
	require.True(t, r.account.Exists(last))
	r.flush()
	r.caughtUp()
	require.Equal(t, map[string]string{name: "x"}, r.cloud())
	require.Empty(t, r.engine.Status().Pending)
}

// While it can't be read what lies above something that was taken out, nothing is removed.
func TestEmptyBinWhileANodeCantBeRead(t *testing.T) {
	r := newRig(t, settleNever)
	dir := r.account.Mkdir(r.account.Root(), "dir")
	sub := r.account.Mkdir(dir, "sub")
	r.account.PutFile(sub, "file", []byte("x"), time.Unix(1, 0))
	r.account.Trash(dir)
	r.caughtUp()
	top, err := r.engine.tree.Lookup(tree.BinIno, "dir")
	require.NoError(t, err)
	in, err := r.engine.tree.Lookup(top.Ino, "sub")
	require.NoError(t, err)
	require.NoError(t, r.engine.Rename(r.ctx, in.Ino, "file", tree.DriveIno, "file", true))
	r.setRow(append([]byte("h"), sub...), func([]byte) []byte { return []byte("scribble") })
	gone, err := r.engine.EmptyBin(r.ctx, time.Now().Add(time.Hour))
	require.ErrorIs(t, err, tree.ErrCorrupt)
	require.Zero(t, gone)
	require.True(t, r.account.Exists(dir))
}
