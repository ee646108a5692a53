package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// manager is a service manager that listens.
type manager struct {
	mu   sync.Mutex
	said []string // GUARDED_BY(mu)
}

func listenAsManager(t *testing.T, p *program.Program) *manager {
	t.Helper()
	path := filepath.Join(p.Dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	p.Env = append(p.Env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=300000")
	m := &manager{}
	go func() { // ends with the socket
		buf := make([]byte, 4096)
		for {
			n, err := l.Read(buf)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.said = append(m.said, string(buf[:n]))
			m.mu.Unlock()
		}
	}()
	return m
}

// await waits until the service has said a line that begins so.
func (m *manager) await(t *testing.T, begin string) {
	t.Helper()
	require.Eventually(t, func() bool { return m.heard(begin) >= 0 }, bounded, 10*time.Millisecond, "no %s", begin)
}

func (m *manager) heard(begin string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, line := range m.said {
		if strings.HasPrefix(line, begin) {
			return i
		}
	}
	return -1
}

func TestServiceTellsItsManager(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	p.Login()
	m := listenAsManager(t, p)
	cmd := p.Command("mount", "-f", p.Point)
	require.NoError(t, cmd.Start())
	m.await(t, "READY=1")
	entries, err := os.ReadDir(p.Point)
	require.NoError(t, err, "ready means mounted")
	require.Empty(t, entries)
	m.await(t, "STATUS=everything is in the cloud")
	m.await(t, "WATCHDOG=1")

	p.Shell("echo text >f")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	require.Contains(t, account.Tree(), "f", "what is pending goes up before the service ends")
	m.await(t, "STOPPING=1")
	m.await(t, "EXTEND_TIMEOUT_USEC=")
	require.Less(t, m.heard("READY=1"), m.heard("STOPPING=1"))
}

// besideAnother starts a service of an account that another process has mounted already, and gives where it is.
func besideAnother(t *testing.T) (p *program.Program, service *exec.Cmd, point string) {
	t.Helper()
	needs.FUSE(t)
	p, _ = program.WithAccount(t)
	p.Login()
	p.Mount()
	m := listenAsManager(t, p)
	point = filepath.Join(p.Dir, "second")
	require.NoError(t, os.Mkdir(point, 0o755))
	service = p.Command("mount", "-f", point)
	require.NoError(t, service.Start())
	m.await(t, "READY=1")
	return p, service, point
}

// A second service for the same account is served by the first one's process.
func TestServiceBesideAnother(t *testing.T) {
	p, cmd, _ := besideAnother(t)
	require.Len(t, p.Statuses()[0].Mounts, 2)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	require.Len(t, p.Statuses()[0].Mounts, 1)
	p.Run("unmount", p.Point)
}

// A service whose neighbour's process dies has failed, too: its manager is to start it again.
func TestServiceWhoseNeighbourDies(t *testing.T) {
	p, cmd, second := besideAnother(t)
	require.NoError(t, syscall.Kill(p.Statuses()[0].PID, syscall.SIGKILL))
	var failed *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &failed)
	require.Equal(t, 6, failed.ExitCode())
	for _, point := range []string{second, p.Point} {
		p.Run("unmount", point)
	}
}

// Mounts of one account that begin at the same moment, as those of fstab do at boot, all come to be, in one process.
func TestMountsThatBeginTogether(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	var points [4]string
	var said [len(points)]string
	var statuses [len(points)]int
	var begun sync.WaitGroup
	for i := range points {
		points[i] = filepath.Join(p.Dir, "together", strconv.Itoa(i))
		require.NoError(t, os.MkdirAll(points[i], 0o755))
		begun.Go(func() { _, said[i], statuses[i] = p.Try("", "mount", points[i]) })
	}
	begun.Wait()
	for i := range points {
		require.Zero(t, statuses[i], said[i])
	}
	all := p.Statuses()
	require.Len(t, all, 1)
	require.Len(t, all[0].Mounts, len(points))
	for _, point := range points {
		p.Run("unmount", point)
	}
}

func TestUnits(t *testing.T) {
	needs.Programs(t, "systemd-analyze")
	p, _ := program.WithAccount(t)
	for _, unit := range []string{"user/megadisk@.service", "system/megadisk@.service", "examples/srv-mega.automount", "examples/srv-mega.mount"} {
		text, err := os.ReadFile("../packaging/systemd/" + unit)
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), filepath.Base(unit))
		if unit == "examples/srv-mega.automount" {
			require.NoError(t, exec.Command("cp", "../packaging/systemd/examples/srv-mega.mount", filepath.Dir(file)).Run())
		}
		require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/usr/bin/megadisk", p.Bin)), 0o644))
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NotContains(t, string(out), "nknown", unit)
	}
}
