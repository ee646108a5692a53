package integration

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/megaclient/megatest"
)

// What stands for a machine that is suspended in the middle of its work, which no test can do: the mounting process stops
// while a file is being read, another one sent, and a command has no answer. The network goes at the same moment without a word,
// and is back only some time after the process goes on. The server has done what it was told and told nobody; others
// have changed things. MEGADISK_LONG=1: it takes three minutes, after which the server has forgotten what it was asked.
func TestSuspendedMachine(t *testing.T) {
	needs.FUSE(t)
	w := newNetwork(t)
	p, account := w.program()
	far := noise(4<<20, 1)
	account.PutFile(account.Root(), "far", far, megatestTime)
	account.PutFile(account.Root(), "old", []byte("old"), megatestTime)
	p.Login()
	p.Run("mount", "-o", "timeout=30m,silence="+silentFor(), p.Point)
	require.Equal(t, "old", p.Shell("cat old"))
	reference := filepath.Join(p.Dir, "far")
	require.NoError(t, os.WriteFile(reference, far, 0o600))
	pid := p.Statuses()[0].PID
	ctx, cancel := context.WithTimeout(t.Context(), bounded)
	defer cancel()
	held := func(n int) {
		t.Helper()
		require.NoError(t, p.Server.Await(ctx, func(st megatest.Stats) bool { return st.Held >= n }))
	}

	faults := p.Server.Faults()
	answer, upload := faults.Hold("p"), faults.HoldUploads(0)
	p.Shell("mkdir made && echo sent >sent")
	held(1) // the folder, or a piece of the file
	faults.StallDownloads(1<<20, 1)
	faulty := p.Server.Stats().Faults
	reader := start(t, "cmp", reference, filepath.Join(p.Point, "far"))
	require.NoError(t, p.Server.Await(ctx, func(st megatest.Stats) bool { return st.Faults > faulty }))
	held(2)

	require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGCONT) })
	require.Eventually(t, func() bool { return stateOf(t, pid) == "T" }, bounded, time.Millisecond)
	cuts["half open"].cut(w)
	answer()
	upload()
	faults.Clear()
	require.NoError(t, p.Server.Await(ctx, func(st megatest.Stats) bool { return st.Held == 0 && st.Done["p"] > 0 }))
	writer := start(t, "sh", "-c", "echo new >"+filepath.Join(p.Point, "new"))
	account.PutFile(account.Root(), "elsewhere", []byte("elsewhere"), megatestTime)
	account.PutVersion(account.Find("old"), []byte("newer"), megatestTime)
	if os.Getenv("MEGADISK_LONG") == "1" {
		pause := time.NewTimer(3 * time.Minute)
		<-pause.C
		faults.ForgetRequestIDs()
	}

	require.NoError(t, unix.Kill(pid, unix.SIGCONT))
	require.NoError(t, writer.Wait(), "what needs no network goes on at once")
	cuts["half open"].mend(w)
	require.NoError(t, reader.Wait())
	requireEventuallyFile(t, filepath.Join(p.Point, "elsewhere"), "elsewhere")
	requireEventuallyFile(t, filepath.Join(p.Point, "old"), "newer")
	requireGoesOn(t, p, account, map[string]string{"sent": "sent\n", "new": "new\n", "far": string(far)})
	require.Len(t, account.Tree(), 7, "nothing was done twice")
	require.Equal(t, pid, p.Statuses()[0].PID)
}
