package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/program"
)

// TestStatusNamesWhatWasOpenAtDeath: after a kill the next mount says which files were being written, and not those that
// were closed.
func TestStatusNamesWhatWasOpenAtDeath(t *testing.T) {
	p, _ := mountedProgram(t)
	p.Run("pause")
	p.Shell("echo text >closed")
	writer := exec.Command("tee", filepath.Join(p.Point, "half")) // it starts no others, whose ends would close the file too
	in, err := writer.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, writer.Start())
	_, err = in.Write(make([]byte, 80<<20)) // 64 MiB of them are stored at least
	require.NoError(t, err)
	p.Kill()
	in.Close()
	_ = writer.Wait() // it fails: the mount has gone
	p.Mount()
	require.Contains(t, p.Run("status"), "may be incomplete: /half\n")
	all := readJSON[[]struct {
		Interrupted []struct {
			Path string
			Size int64
		}
	}](t, p.Run("status", "--json"))
	require.Len(t, all[0].Interrupted, 1)
	require.Equal(t, "/half", all[0].Interrupted[0].Path)
	require.Positive(t, all[0].Interrupted[0].Size)
}

// A mount whose process stands still, be it another account's, keeps nobody from the others.
func TestStatusBesideAMountThatStandsStill(t *testing.T) {
	p, _ := mountedProgram(t)
	other, _ := mountedProgram(t)
	pid := other.Statuses()[0].PID
	require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
	defer unix.Kill(pid, unix.SIGCONT)
	awaitStopped(t, pid)
	said := p.Run("status")
	require.Contains(t, said, p.Point)
	require.NotContains(t, said, "has died")
	_, stderr, status := p.Try("", "mount", other.Point)
	require.NotZero(t, status)
	require.Contains(t, stderr, "already mounted there")
}

// awaitStopped returns when all threads of a process stand still. One that doesn't yet may still take a request, and who asked
// can't even be killed before it is answered.
func awaitStopped(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		require.NoError(t, err)
		for _, stat := range threads {
			line, err := os.ReadFile(stat)
			if _, state, _ := strings.Cut(string(line), ") "); err != nil || !strings.HasPrefix(state, "T") {
				return false
			}
		}
		return len(threads) > 0
	}, bounded, time.Millisecond)
}

// TestStatusTellsOfADeadMount: until it is mounted again, or unmounted.
func TestStatusTellsOfADeadMount(t *testing.T) {
	p, _ := mountedProgram(t)
	pid := p.Statuses()[0].PID
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	program.AwaitGone(t, pid)
	died := "The process that showed " + p.Point + " has died"
	require.Contains(t, p.Run("status"), died)
	p.Mount()
	require.NotContains(t, p.Run("status"), died)
}
