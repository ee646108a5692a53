package integration

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// TestUploadGoesOnAfterAKill kills the process when more than half of a large file has arrived. The next one sends the
// rest only, over the same URL; or all of it over a new one, if that has expired meanwhile.
func TestUploadGoesOnAfterAKill(t *testing.T) {
	needs.FUSE(t)
	const size = 64 << 20
	for _, way := range []string{"the rest", "expired"} {
		t.Run(way, func(t *testing.T) {
			server := megatest.NewServer(megatest.WithDir(t.TempDir()))
			t.Cleanup(server.Close)
			account := server.AddAccount(program.Email, program.Password)
			p := program.New(t, server)
			p.Login()
			p.Mount()
			want := copyRandom(t, filepath.Join(p.Point, "large"), size)
			server.Faults().SetBandwidth(0, 32<<20)
			awaitServer(t, p, func(s megatest.Stats) bool { return s.BytesUp >= size/2 })
			// However long the kill takes, no more arrives, and the client knows of what has.
			server.Faults().FailHTTP(megatest.Uploads, 503, megatest.Always)
			awaitServer(t, p, func(s megatest.Stats) bool { return s.Faults >= 40 })
			p.Kill()
			server.Faults().Clear()
			before := server.Stats()
			if way == "expired" {
				server.Faults().ExpireURLs()
			}
			p.Mount()
			p.Run("flush")
			sent := server.Stats().BytesUp - before.BytesUp
			asked := server.Stats().Commands["u"] - before.Commands["u"]
			t.Logf("%d MiB had arrived, %d MiB were sent after the kill", before.BytesUp>>20, sent>>20)
			if way == "expired" {
				require.Equal(t, 1, asked, "a new URL")
				require.GreaterOrEqual(t, sent, int64(size))
			} else {
				require.Zero(t, asked, "the same upload")
				require.Less(t, sent, int64(size*7/8))
			}
			require.Len(t, account.Tree(), 1)
			require.Equal(t, want, hashOf(t, filepath.Join(p.Point, "large")))
			entry := account.Tree()["large"]
			require.NoError(t, entry.Err)
			require.EqualValues(t, size, entry.Size)
		})
	}
}
