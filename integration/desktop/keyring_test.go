package desktop

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// TestSecretService: the session lies in GNOME's keyring. While that is locked, as it is at boot, nothing is told to
// who doesn't wait, and who waits goes on when it is unlocked.
func TestSecretService(t *testing.T) {
	picturesFolder(t)
	needs.FUSE(t)
	needs.Programs(t, "dbus-daemon", "gnome-keyring-daemon")
	p, account := program.WithAccount(t)
	account.PutFile(account.Root(), "f", []byte("text"), time.Unix(1700000000, 0))
	s := newSecrets(t, p)
	open := s.keyring(true)
	p.Login()
	require.Contains(t, p.Run("whoami"), program.Email)

	s.end(open)
	locked := s.keyring(false)
	_, said, status := p.Try("", "whoami", "--keyring", "fail")
	require.Equal(t, 1, status, "the session is nowhere else")
	require.Contains(t, said, "keyring")

	mount := p.Command("mount", "--keyring", "wait", "-f", p.Point)
	require.NoError(t, mount.Start())
	t.Cleanup(func() { _ = mount.Process.Kill(); _ = mount.Wait() })
	s.end(locked)
	s.keyring(true)
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(p.Point, "f"))
		return err == nil && string(text) == "text"
	}, patience, 50*time.Millisecond)
	p.Run("unmount", p.Point)
	require.NoError(t, mount.Wait())
}

// secrets is a session's bus, on which a keyring can be.
type secrets struct {
	t   *testing.T
	env []string
}

func newSecrets(t *testing.T, p *program.Program) *secrets {
	t.Helper()
	s := &secrets{t: t, env: append(os.Environ(), "HOME="+p.Dir, "XDG_DATA_HOME="+filepath.Join(p.Dir, "share"), "XDG_RUNTIME_DIR="+p.Dir, "LC_ALL=C.UTF-8")}
	bus := s.command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1")
	out, err := bus.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, bus.Start())
	t.Cleanup(func() { s.end(bus) })
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	at := "DBUS_SESSION_BUS_ADDRESS=" + strings.TrimSpace(address)
	s.env = append(s.env, at)
	p.Env = append(p.Env, at, "MEGADISK_KEYRING=")
	return s
}

func (s *secrets) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = s.env
	return cmd
}

// keyring starts GNOME's keyring, unlocked with the one password or locked, and waits until it can be asked.
func (s *secrets) keyring(unlocked bool) *exec.Cmd {
	s.t.Helper()
	args := []string{"--foreground", "--components=secrets"}
	if unlocked {
		args = append(args, "--unlock")
	}
	cmd := s.command("gnome-keyring-daemon", args...)
	cmd.Stdin = strings.NewReader("the keyring's password")
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() { s.end(cmd) })
	require.Eventually(s.t, func() bool {
		ask := s.command("dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus",
			"org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets")
		out, err := ask.Output()
		return err == nil && strings.Contains(string(out), "boolean true")
	}, patience, 50*time.Millisecond)
	return cmd
}

// end ends a program of the session.
func (s *secrets) end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
