package fs_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/harness"
	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// The next open after a new version came sees that version with its own length: the kernel's size of the old one is
// gone before the open is answered.
func TestNextOpenHasTheNewLength(t *testing.T) {
	long, short := pattern(1, 60_000), pattern(2, 10)
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) { a.PutFile(a.Root(), "f", long, mtime) }))
	requireContent(t, long, h.Path("f"))
	before := long
	for round := range 20 {
		want := short
		if round%2 == 1 {
			want = long
		}
		next := megaclient.Handle(h.Account.PutVersion(h.Account.Find("f"), want, mtime))
		for {
			row, err := h.Engine.Tree().Lookup(tree.DriveIno, "f")
			require.NoError(t, err)
			if row.Base.Handle == next {
				break
			}
			runtime.Gosched()
		}
		got, err := os.ReadFile(h.Path("f"))
		require.NoError(t, err)
		if bytes.Equal(before, got) {
			// The last reader's handle wasn't released yet when the version came: the name has a new inode, and the
			// kernel hears of that in a moment. What was read is the old version, whole.
			h.Settled(h.Context())
			got, err = os.ReadFile(h.Path("f"))
			require.NoError(t, err)
		}
		require.Equal(t, len(want), len(got), "round %d", round)
		require.Equal(t, want, got)
		before = want
	}
}

// The same for a file that was never opened, and of which the kernel knows no more than the length.
func TestFirstOpenHasTheNewLength(t *testing.T) {
	h := harness.New(t)
	for round := range 8 {
		name := fmt.Sprint("f", round)
		handle := h.Account.PutFile(h.Account.Root(), name, pattern(1, 50_000), mtime)
		h.Await(name)
		info, err := os.Stat(h.Path(name))
		require.NoError(t, err)
		require.EqualValues(t, 50_000, info.Size())
		next := megaclient.Handle(h.Account.PutVersion(handle, []byte("short"), mtime))
		for {
			row, err := h.Engine.Tree().Lookup(tree.DriveIno, name)
			require.NoError(t, err)
			if row.Base.Handle == next {
				break
			}
			runtime.Gosched()
		}
		requireContent(t, []byte("short"), h.Path(name))
	}
}
