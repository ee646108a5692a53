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
)

// screen is an X server that nobody sees, with a session of a desktop on it.
type screen struct {
	t   *testing.T
	env []string
}

// newScreen starts both; they end with the test.
func newScreen(t *testing.T, home string) *screen {
	t.Helper()
	s := &screen{t: t}
	for _, dir := range []string{"config", "share", "run"} {
		require.NoError(t, os.MkdirAll(filepath.Join(home, dir), 0o700))
	}
	s.env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, "config"), "XDG_DATA_HOME="+filepath.Join(home, "share"),
		"XDG_CACHE_HOME="+filepath.Join(home, "usercache"), "XDG_RUNTIME_DIR="+filepath.Join(home, "run"), "LC_ALL=C.UTF-8", "NO_AT_BRIDGE=1", "GVFS_DISABLE_FUSE=1")
	s.env = append(s.env, "DISPLAY=:"+s.serve("Xvfb", "-displayfd", "1", "-screen", "0", "1024x720x24", "-nolisten", "tcp"))
	s.env = append(s.env, "DBUS_SESSION_BUS_ADDRESS="+s.serve("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1"))
	return s
}

// serve starts a program that runs until the test ends, and gives the first line that it prints.
func (s *screen) serve(name string, args ...string) string {
	s.t.Helper()
	cmd := s.command(name, args...)
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	s.start(cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(s.t, err, "%s ended", name)
	return strings.TrimSpace(line)
}

func (s *screen) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = s.env
	return cmd
}

// start starts a program that runs until the test ends.
func (s *screen) start(cmd *exec.Cmd) {
	s.t.Helper()
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// run runs a program to its end.
func (s *screen) run(name string, args ...string) string {
	s.t.Helper()
	out, err := s.command(name, args...).CombinedOutput()
	require.NoError(s.t, err, "%s %v: %s", name, args, out)
	return string(out)
}

// window waits for a window with a text in its title, and gives it the keyboard.
func (s *screen) window(title string) string {
	s.t.Helper()
	id := ""
	s.until("a window "+title, func() bool {
		out, err := s.command("xdotool", "search", "--onlyvisible", "--name", title).Output()
		fields := strings.Fields(string(out))
		if err != nil || len(fields) == 0 {
			return false
		}
		id = fields[len(fields)-1]
		return true
	})
	s.run("xdotool", "windowmove", id, "0", "0", "windowsize", id, "1024", "720", "windowfocus", id)
	return id
}

// keys presses keys, one after the other.
func (s *screen) keys(names ...string) {
	s.t.Helper()
	s.run("xdotool", append([]string{"key", "--clearmodifiers", "--delay", "150"}, names...)...)
}

// write types a text.
func (s *screen) write(text string) {
	s.t.Helper()
	s.run("xdotool", "type", "--delay", "30", text)
}

// patience is for what another program does; the machine may be busy.
const patience = 2 * time.Minute

// until waits for something that another program does. If that doesn't come, it leaves a picture of the screen.
func (s *screen) until(what string, cond func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			picture := filepath.Join(os.TempDir(), "megadisk-desktop-failed.png")
			_ = s.command("import", "-silent", "-window", "root", picture).Run()
			windows, _ := s.command("xdotool", "search", "--onlyvisible", "--name", ".", "getwindowname", "%@").Output()
			require.FailNow(s.t, "not within "+patience.String()+": "+what, "the screen is in %s; windows:\n%s", picture, windows)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// settle waits until the screen doesn't change any more.
func (s *screen) settle() {
	s.t.Helper()
	last, same := "", 0
	s.until("a still screen", func() bool {
		now := s.run("import", "-silent", "-window", "root", "-format", "%#", "info:")
		if now != last {
			last, same = now, 0
		}
		same++
		return same > 10
	})
}

// shoot takes a picture of the screen.
func (s *screen) shoot(file string) {
	s.t.Helper()
	s.settle()
	s.run("import", "-silent", "-window", "root", "+dither", "-colors", "48", "-define", "png:compression-level=9", file)
	info, err := os.Stat(file)
	require.NoError(s.t, err)
	require.Less(s.t, info.Size(), int64(200<<10), "small enough for the documentation")
}
