package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// TestBrakeThroughTheCommands deletes nearly everything: flush and unmount say so, with an exit status of their own, the
// next mount still holds it back, and a word brings the files back or lets the deletions go.
func TestBrakeThroughTheCommands(t *testing.T) {
	needs.FUSE(t)
	const exitBraked = 9
	server := megatest.NewServer(megatest.WithClock(func() time.Time { return time.Now().Add(-72 * time.Hour) }))
	t.Cleanup(server.Close)
	account := server.AddAccount(program.Email, program.Password)
	dir := account.Mkdir(account.Root(), "thesis")
	for i := range 120 {
		account.PutFile(dir, fmt.Sprint(i), []byte("x"), megatestTime)
	}
	p := program.New(t, server)
	p.Login()
	p.Mount()
	remove(p, `rm -r thesis; echo new >new`)
	_, errs, status := p.Try("", "flush")
	require.Equal(t, exitBraked, status, errs)
	require.Contains(t, errs, "121 deletions are held back")
	require.NotEmpty(t, account.Find("new"), "everything else goes on")
	_, errs, status = p.Try("", "unmount", p.Point)
	require.Equal(t, exitBraked, status, errs)
	require.Contains(t, errs, "unmounted")

	p.Mount()
	require.Contains(t, p.Run("status"), "121 deletions are held back")
	require.Contains(t, p.Run("revert"), "121 files and folders are back")
	require.Equal(t, "120\n", p.Shell(`ls thesis | wc -l`))
	p.Run("flush")
	require.Len(t, account.Tree(), 122)

	remove(p, `rm -r thesis`)
	_, errs, status = p.Try("", "flush")
	require.Equal(t, exitBraked, status, errs)
	require.Contains(t, p.Run("approve"), "121 deletions go")
	p.Run("flush")
	require.Len(t, account.Tree(), 1)
	p.Run("unmount", p.Point)

	p.Run("mount", "-o", "brake=off,delete=permanent,fsync=cloud,max_upload=50M", p.Point)
	p.Shell(`echo synced >synced; sync synced`)
	require.NotEmpty(t, account.Find("synced"), "fsync waited for the cloud")
	for _, o := range []string{"brake=maybe", "delete=never", "fsync=later", "max_upload=much"} {
		_, errs, status = p.Try("", "mount", "-o", o, t.TempDir())
		require.Equal(t, 2, status, "%s: %s", o, errs)
	}
	p.Run("unmount", p.Point)
}

// remove runs a command line of whose deletions none goes to the cloud before the last is made, however slow the machine.
func remove(p *program.Program, script string) {
	p.T.Helper()
	p.Run("pause")
	p.Shell(script)
	p.Run("resume")
}

// TestFlushRunsOutOfPatience waits for a server that is gone no longer than it was told.
func TestFlushRunsOutOfPatience(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	p.Login()
	p.Mount()
	p.Run("pause")
	p.Shell(`echo x >file`)
	_, errs, status := p.Try("", "flush")
	require.Equal(t, 5, status, errs)
	require.Contains(t, errs, "paused")
	p.Run("resume")
	release := p.Server.Faults().Hold("u")
	_, errs, status = p.Try("", "flush", "--timeout", "1s")
	require.Equal(t, 5, status, errs)
	require.Contains(t, errs, "1 changes are not in the cloud yet")
	_, errs, status = p.Try("", "unmount", "--timeout", "1s", p.Point)
	require.Equal(t, 5, status, errs)
	release()
	p.Run("retry")
	p.Run("unmount", p.Point)
	require.NotEmpty(t, account.Find("file"))
}
