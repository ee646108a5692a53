package integration

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// The README's first command: it mounts, says so, can be written to, and ends with a signal as with Ctrl-C. After a kill it
// can be said again.
func TestDemo(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t) // for its folders; the demo has a server of its own
	killed := startDemo(t, p)
	require.NoError(t, killed.Process.Kill())
	require.Error(t, killed.Wait())
	cmd := startDemo(t, p)
	p.Shell("echo hello >new; grep -q hello new")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	require.NoFileExists(t, filepath.Join(p.Point, "Read me.txt"))
}

// startDemo returns once the demo says that it is ready.
func startDemo(t *testing.T, p *program.Program) *exec.Cmd {
	t.Helper()
	cmd := p.Command("demo", p.Point)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = exec.Command("umount", "-l", p.Point).Run() })
	said := false
	for lines := bufio.NewScanner(out); !said && lines.Scan(); {
		said = strings.HasPrefix(lines.Text(), "Ctrl-C")
	}
	require.True(t, said, "it never said that it is ready")
	require.FileExists(t, filepath.Join(p.Point, "Read me.txt"))
	return cmd
}
