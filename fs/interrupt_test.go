package fs

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/writeback/tree"
)

// The kernel interrupts a request only where a program waits for that request itself: O_DIRECT here. Buffered reads wait
// for pages, which the kernel reads in the background and doesn't interrupt.
func TestAnInterruptedReadIsAnsweredIfItsDataComesSoon(t *testing.T) {
	f := newFake(t)
	f.put(tree.DriveIno, "a", []byte("content"))
	reading, release := make(chan struct{}), make(chan struct{})
	interrupted := make(chan bool, 1)
	f.onRead = func(ctx context.Context, _ tree.Ino) error {
		close(reading)
		<-release
		<-ctx.(*request).cancel
		interrupted <- true
		return ctx.Err()
	}
	dir, _ := mountFake(t, f)
	cmd := exec.Command("dd", "iflag=direct", "bs=4096", "count=1", "status=none", "if="+filepath.Join(dir, "a"))
	out := &strings.Builder{}
	cmd.Stdout = out
	require.NoError(t, cmd.Start())
	<-reading
	require.NoError(t, cmd.Process.Signal(unix.SIGUSR1)) // dd catches it, and prints figures
	close(release)
	require.NoError(t, cmd.Wait())
	require.True(t, <-interrupted)
	require.Equal(t, "content", out.String())
}

func TestAKilledReaderIsLetGo(t *testing.T) {
	for name, program := range map[string][]string{
		"direct":   {"dd", "iflag=direct", "bs=4096", "count=1", "status=none"},
		"buffered": {"dd", "bs=4096", "count=1", "status=none"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.put(tree.DriveIno, "a", []byte("content"))
			reading, ended := make(chan struct{}), make(chan error, 1)
			f.onRead = func(ctx context.Context, _ tree.Ino) error {
				close(reading)
				<-ctx.Done()
				ended <- ctx.Err()
				return fmt.Errorf("fetching: %w", ctx.Err())
			}
			dir, s := mountFake(t, f)
			cmd := exec.Command(program[0], append(program[1:], "if="+filepath.Join(dir, "a"))...)
			require.NoError(t, cmd.Start())
			<-reading
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())
			if name == "buffered" {
				require.NoError(t, s.Unmount(), "what still waits doesn't hold the mount")
			}
			require.ErrorIs(t, <-ended, context.Canceled)
		})
	}
}
