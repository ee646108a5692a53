package integration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// TestProbesFetchNothing: an indexer that goes through the drive gets what is here, and not a byte from the cloud.
func TestProbesFetchNothing(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	account.PutFile(account.Root(), "small", noise(5000, 1), megatestTime)
	account.PutFile(account.Root(), "large", noise(3<<20, 2), megatestTime)
	account.PutFile(account.Root(), "empty", nil, megatestTime)
	p.Login()
	p.Run("mount", "-o", "probes=indexer*:md5sum", p.Point)
	p.Shell("echo ours >ours; ! md5sum small 2>/dev/null; ! md5sum large 2>/dev/null; md5sum empty ours; stat small large >/dev/null")
	require.Zero(t, p.Server.Stats().BytesDown)
	p.Shell("cat small large >/dev/null; md5sum small large; echo more >>large")
	down := p.Server.Stats().BytesDown
	p.Shell("md5sum small large")
	require.Equal(t, down, p.Server.Stats().BytesDown, "what is here is theirs to read")

	p.Run("unmount", p.Point)
	p.Run("mount", "-o", "probes=", p.Point)
	p.Shell("md5sum small large")
	p.Run("unmount", p.Point)
	_, errs, code := p.Try("", "mount", "-o", "probes=[", p.Point)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--probes")
}
