package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// A program writes to a file that somebody replaced while it was open: it comes back under a conflict name, and the kernel
// through which the program writes has to be told of that like every other, since nobody there asked for the name.
func TestNameOfARescuedFileIsTold(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "ours")
	r.flush()
	f, err := r.engine.Open(r.ctx, r.ino("f"), true, false)
	require.NoError(t, err)
	defer f.Release()
	r.account.PutVersion(r.account.Find("f"), []byte("theirs"), time.Unix(1, 0))
	r.caughtUp()

	told := make(chan tree.Change, 100)
	defer r.engine.Tree().Subscribe(func(changes []tree.Change) {
		for _, c := range changes {
			if IsConflictName(c.Name) {
				told <- c
			}
		}
	})()
	_, err = f.WriteAt(tree.WithOrigin(r.ctx, "the mount"), []byte("more"), 0)
	require.NoError(t, err)
	select {
	case c := <-told:
		require.Nil(t, c.Origin)
	case <-r.ctx.Done():
		require.FailNow(t, "nothing was told")
	}
}
