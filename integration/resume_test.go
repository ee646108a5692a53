package integration

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// TestUploadGoesOnAfterAKill kills the process when half of a large file has arrived. The next one sends the rest
// only, over the same URL; or all of it over a new one, if that has expired meanwhile.
func TestUploadGoesOnAfterAKill(t *testing.T) {
	needs.FUSE(t)
	const (
		size  = 32 << 20
		half  = size / 2
		piece = size / 16 // with eight connections
		// So much may have arrived since the state of the upload was last stored.
		unsaved = 8<<20 + 2*piece
	)
	for _, way := range []string{"the rest", "expired"} {
		t.Run(way, func(t *testing.T) {
			p, account := program.WithAccount(t)
			p.Login()
			p.Mount()
			release := p.Server.Faults().HoldUploads(half)
			defer release()
			want := copyRandom(t, filepath.Join(p.Point, "large"), size)
			require.Eventually(t, func() bool { // half is there, and the client knows
				st, all := p.Server.Stats(), p.Statuses()
				return st.Held > 0 && st.BytesUp > half-piece &&
					len(all) == 1 && len(all[0].Transfers) == 1 && all[0].Transfers[0].Done == st.BytesUp
			}, bounded, 20*time.Millisecond)

			p.Kill()
			awaitStats(t, p.Server, func(s megatest.Stats) bool { return s.OpenConnections == 0 }) // nothing is under way any more, held or in buffers of the kernel
			release()
			before := p.Server.Stats()
			arrived := before.BytesUp
			if way == "expired" {
				p.Server.Faults().ExpireURLs()
			}
			p.Mount()
			p.Run("flush")
			sent := p.Server.Stats().BytesUp - arrived
			asked := p.Server.Stats().Commands["u"] - before.Commands["u"]
			t.Logf("%d KiB had arrived, %d KiB were sent after the kill", arrived>>10, sent>>10)
			if way == "expired" {
				require.Equal(t, 1, asked, "a new URL")
				require.GreaterOrEqual(t, sent, int64(size))
			} else {
				require.Zero(t, asked, "the same upload")
				require.LessOrEqual(t, sent, size-arrived+unsaved)
			}
			require.Len(t, account.Tree(), 1)
			require.Equal(t, want, hashOf(t, filepath.Join(p.Point, "large")))
			entry := account.Tree()["large"]
			require.NoError(t, entry.Err)
			require.EqualValues(t, size, entry.Size)
		})
	}
}
