package writeback

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// The echo of a folder's move to the bin may be applied while the answer is: what it has shown in the bin by then is
// an inode like any other, and keeps its shadow.
func TestNoGhostsAfterRemovingAFolder(t *testing.T) {
	const n = 600
	r := newRig(t, settleNever)
	r.engine.Attach("kernel")
	r.mkdir("d")
	var inos []tree.Ino
	for i := range n {
		p := fmt.Sprintf("d/f%d", i)
		r.mkdir(p)
		inos = append(inos, r.ino(p))
	}
	r.flush()
	r.caughtUp()
	for i := range n {
		r.rmdir(fmt.Sprintf("d/f%d", i))
	}
	r.rmdir("d")
	r.flush()
	r.caughtUp()
	ghosts := 0
	for _, ino := range inos {
		in, err := r.engine.Tree().Get(ino)
		if err == nil && !in.Removed && in.Cloud == nil && in.Pending == 0 {
			ghosts++
		}
	}
	require.Zero(t, ghosts, "inodes are shown, in no cloud, and not to be sent")
}
