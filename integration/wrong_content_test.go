package integration

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// Content that fails its MAC is fetched once more over another URL, by the program as it is wired.
func TestWrongContentIsAskedForElsewhere(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	content := make([]byte, 200_000)
	_, _ = rand.Read(content)
	account.PutFile(account.Root(), "wrong once", content, time.Now())
	p.Login()
	p.Mount()
	p.Server.Faults().CorruptDownloads(1)
	got, err := os.ReadFile(filepath.Join(p.Point, "wrong once"))
	require.NoError(t, err)
	require.Equal(t, content, got)
	require.Equal(t, 2, p.Server.Stats().Commands["g"], "one URL for the wrong bytes, another for the right ones")
}
