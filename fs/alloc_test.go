package fs_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/harness"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// A read that the cache's memory has is answered without an allocation of ours, all the way from go-fuse.
func TestReadsDoNotAllocate(t *testing.T) {
	content := pattern(1, 4<<20)
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) { a.PutFile(a.Root(), "f", content, mtime) }))
	row, err := h.Engine.Tree().Lookup(tree.DriveIno, "f")
	require.NoError(t, err)
	read, release := h.Mount.Reads(row.Ino)
	require.NotNil(t, read)
	defer release()
	for name, n := range map[string]int{"copied": 4096, "lent": 64 << 10} {
		buf, off := make([]byte, n), int64(0)
		once := func() {
			if got, ok := read(buf, off%(4<<20)); !ok || got != n {
				t.Error(name, got, ok)
			}
			off += int64(n)
		}
		for range 4 << 20 / n {
			once() // from the network
		}
		require.Zero(t, testing.AllocsPerRun(300, once), name)
	}
}
