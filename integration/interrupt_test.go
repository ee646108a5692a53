package integration

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// A reader that waits for a server which says nothing ends with Ctrl-C, wherever it waits: for the content, for its
// URL, or for a network that is gone. The mount goes on, and what it didn't get others do.
func TestReadersEndWithCtrlC(t *testing.T) {
	p, account := impatient(t, "-o", "timeout=30m")
	for name, size := range map[string]int{"small": 100_000, "large": 24 << 20} {
		t.Run(name, func(t *testing.T) {
			content := noise(size, 1)
			// Each in a folder of its own, so that none is fetched ahead.
			one, two := account.Mkdir(account.Root(), name), account.Mkdir(account.Root(), name+" 2")
			account.PutFile(one, "f", content, time.Now())
			account.PutFile(two, "f", content, time.Now())
			path, path2 := await(t, p, name+"/f"), await(t, p, name+" 2/f")

			begun, over := make(chan struct{}, 1000), make(chan struct{})
			p.Server.Faults().AnswerDownloads(megatest.Always, func(_ http.ResponseWriter, r *http.Request, _ []byte) {
				begun <- struct{}{}
				select {
				case <-r.Context().Done():
				case <-over:
				}
				panic(http.ErrAbortHandler)
			})
			cat := start(t, "cat", path)
			<-begun
			requireEndsSoon(t, cat)
			p.Server.Faults().Clear()
			close(over)

			release := p.Server.Faults().Hold("g")
			cat = start(t, "cat", path2)
			ctx, cancel := context.WithTimeout(t.Context(), bounded)
			defer cancel()
			require.NoError(t, p.Server.Await(ctx, func(st megatest.Stats) bool { return st.Held > 0 }))
			requireEndsSoon(t, cat)
			release()
			require.True(t, rightOrEIO(t, path, content))
			require.True(t, rightOrEIO(t, path2, content))
		})
	}
	require.Equal(t, "alive", p.Shell("echo -n alive >w && cat w"))
	account.PutFile(account.Mkdir(account.Root(), "gone"), "f", noise(3<<20, 2), time.Now())
	path := await(t, p, "gone/f")
	p.Server.Close()
	cat := start(t, "cat", path)
	requireEndsSoon(t, cat)
}

func start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	require.NoError(t, cmd.Start())
	return cmd
}

// requireEndsSoon presses Ctrl-C. Two seconds are what is promised; the machine may be busy.
func requireEndsSoon(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	begun := time.Now()
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	ctx, cancel := context.WithTimeout(t.Context(), bounded)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
		t.Logf("it took %v", time.Since(begun).Round(time.Millisecond))
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		t.Fatal("the reader doesn't end")
	}
}
