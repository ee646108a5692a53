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

	"megadisk/integration/program"
)

// screen is an X server that nobody sees, with a session of a desktop on it.
type screen struct {
	t     *testing.T
	env   []string
	mount string // the one that its programs see
}

// newScreen starts both; they end with the test.
func newScreen(t *testing.T, p *program.Program) *screen {
	t.Helper()
	s := &screen{t: t, mount: p.Point}
	home := p.Dir
	for _, dir := range []string{"config", "share", "run"} {
		require.NoError(t, os.MkdirAll(filepath.Join(home, dir), 0o700))
	}
	const texts = "[Default Applications]\ntext/plain=org.xfce.mousepad.desktop\n"
	require.NoError(t, os.WriteFile(filepath.Join(home, "config", "mimeapps.list"), []byte(texts), 0o600))
	s.env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, "config"), "XDG_DATA_HOME="+filepath.Join(home, "share"),
		"XDG_CACHE_HOME="+filepath.Join(home, "usercache"), "XDG_RUNTIME_DIR="+filepath.Join(home, "run"), "LC_ALL=C.UTF-8", "NO_AT_BRIDGE=1", "GVFS_DISABLE_FUSE=1")
	s.env = append(s.env, "DISPLAY=:"+s.serve(nil, "Xvfb", "-displayfd", "1", "-screen", "0", "1024x720x24", "-nolisten", "tcp"))
	s.env = append(s.env, "DBUS_SESSION_BUS_ADDRESS="+s.serve(s.alone("--pid", "--fork", "--kill-child", "--mount-proc"), "dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1"))
	return s
}

// alone is what stands before a program so that it sees one mount of FUSE only. Desktops watch all that they see: they
// would keep those of other tests busy, and wait for those that don't answer. What is more is for unshare: with a list of
// processes of its own, what the program started ends with it.
func (s *screen) alone(more ...string) []string {
	if os.Getuid() != 0 {
		return nil
	}
	const script = `
		while read -r _ point kind _; do
			[[ $kind == fuse* && $point != "$0" ]] && umount -l "$(printf %b "$point")"
		done </proc/mounts
		exec "$@"`
	return append(append([]string{"unshare", "--mount", "--propagation", "private"}, more...), "bash", "-c", script, s.mount)
}

// serve starts a program that runs until the test ends, and gives the first line that it prints.
func (s *screen) serve(before []string, line ...string) string {
	s.t.Helper()
	line = append(before, line...)
	name := line[len(before)]
	cmd := s.command(line[0], line[1:]...)
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	s.start(cmd)
	said, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(s.t, err, "%s ended", name)
	return strings.TrimSpace(said)
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

// open starts a program of the desktop.
func (s *screen) open(line ...string) {
	s.t.Helper()
	line = append(s.alone(), line...)
	s.start(s.command(line[0], line[1:]...))
}

// run runs a program to its end.
func (s *screen) run(name string, args ...string) string {
	s.t.Helper()
	out, err := s.command(name, args...).CombinedOutput()
	require.NoError(s.t, err, "%s %v: %s", name, args, out)
	return string(out)
}

// find gives the newest window with a text in its title, "" if there is none.
func (s *screen) find(title string) string {
	out, err := s.command("xdotool", "search", "--onlyvisible", "--name", title).Output()
	fields := strings.Fields(string(out))
	if err != nil || len(fields) == 0 {
		return ""
	}
	return fields[len(fields)-1]
}

func (s *screen) shows(title string) bool { return s.find(title) != "" }

// window waits for a window with a text in its title, and gives it the keyboard.
func (s *screen) window(title string) (id string) {
	s.t.Helper()
	s.until("a window "+title, func() bool {
		id = s.find(title)
		return id != ""
	})
	s.run("xdotool", "windowmove", id, "0", "0", "windowsize", id, "1024", "720")
	s.focus(id)
	return id
}

// focus gives a window the keyboard. No window manager does that.
func (s *screen) focus(id string) {
	s.t.Helper()
	s.run("xdotool", "windowraise", id, "windowfocus", "--sync", id)
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
	late := time.After(patience)
	look := time.NewTicker(50 * time.Millisecond) // a screen tells nobody that it has changed
	defer look.Stop()
	for !cond() {
		select {
		case <-look.C:
		case <-late:
			picture := filepath.Join(os.TempDir(), "megadisk-desktop-failed.png")
			_ = s.command("import", "-silent", "-window", "root", picture).Run()
			windows, _ := s.command("xdotool", "search", "--onlyvisible", "--name", ".", "getwindowname", "%@").Output()
			require.FailNow(s.t, "not within "+patience.String()+": "+what, "the screen is in %s; windows:\n%s", picture, windows)
		}
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
