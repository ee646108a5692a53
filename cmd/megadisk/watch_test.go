package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/cmd/megadisk/internal/control"
)

// still is a process that always does the same.
type still struct {
	control.Backend
	status control.Status
}

func (s still) Status(context.Context) (control.Status, error) { return s.status, nil }

var busy = control.Status{
	Account: "anna@example.com", Online: true,
	Mounts: []control.Mount{{Mountpoint: "/home/anna/mega"}, {Source: "/Photos/Family", Mountpoint: "/home/anna/Pictures/From the family and friends", ReadOnly: true}},
	Quota:  control.Quota{Total: 20 << 30, Used: 12 << 30},
	Pending: control.Pending{Changes: 14, Bytes: 1500 << 20, Items: []control.Change{
		{Path: "/too big.iso", What: "new", Reason: "the account is full"},
	}},
	Transfer: []control.Transfer{
		{Path: "/Photos/2026/A holiday by the sea with everybody/movie of the day.mp4", Size: 1200 << 20, Done: 600 << 20, Rate: 4 << 20},
		{Path: "/写真/夏休み\x1b[31m/家族みんなで海に行った日の長い長い名前の写真.jpg", Size: 5 << 20, Done: 1 << 20, Rate: 1 << 20},
	},
}

// shownIn runs `status --watch` in a terminal of that width and gives the screen.
func shownIn(t *testing.T, width uint16, st control.Status) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "megadisk"), 0o700))
	server, err := control.Serve(filepath.Join(dir, "megadisk", "x.sock"), still{status: st}, describe)
	require.NoError(t, err)
	defer server.Close()

	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer master.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	require.NoError(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width}))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer slave.Close()

	cmd := exec.Command(os.Args[0], "status", "--watch")
	cmd.Env = []string{asProgram + "=1", "XDG_RUNTIME_DIR=" + dir, "HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	var text strings.Builder
	interrupted := false
	for buf := make([]byte, 4096); !strings.Contains(text.String(), showCursor); {
		n, err := master.Read(buf)
		require.NoError(t, err, "the screen so far: %q", text.String())
		text.Write(buf[:n])
		if !interrupted && strings.Contains(text.String(), clearBelow) {
			interrupted = true
			_, err := master.WriteString("\x03") // Ctrl-C
			require.NoError(t, err)
		}
	}
	require.NoError(t, cmd.Wait(), "Ctrl-C is how it ends")
	_, screen, _ := strings.Cut(text.String(), home)
	screen, _, _ = strings.Cut(screen, clearBelow)
	return strings.ReplaceAll(screen, clearLine+"\r\r\n", "\n") // the terminal adds a carriage return
}

func TestWatchFitsTheTerminal(t *testing.T) {
	for _, width := range []uint16{80, 40} {
		got := strings.TrimSuffix(shownIn(t, width, busy), clearLine) + "\n"
		golden := fmt.Sprintf("testdata/watch-%d.txt", width)
		if os.Getenv("MEGADISK_UPDATE") != "" {
			require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), got, "MEGADISK_UPDATE=1 writes %s anew", golden)
		for _, line := range strings.Split(got, "\n") {
			require.LessOrEqual(t, uniseg.StringWidth(line), int(width), line)
		}
	}
}

func TestScreensOfAllSizes(t *testing.T) {
	since := time.Unix(1700000000, 0)
	offline := busy
	offline.Offline, offline.Online, offline.Problem = &since, false, strings.Repeat("something long is wrong here ", 5)
	for _, all := range [][]control.Status{nil, {busy}, {busy, offline}, {{Account: strings.Repeat("x", 200)}}} {
		for width := 1; width < 130; width++ {
			for height := 4; height < 40; height += 7 {
				lines := screenOf(all, width, height)
				require.LessOrEqual(t, len(lines), height)
				for _, line := range lines {
					require.LessOrEqual(t, uniseg.StringWidth(line), width, "%q", line)
					require.NotContains(t, line, "\x1b")
				}
			}
		}
	}
}

func TestWatchOnAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	rounds := 0
	require.NoError(t, watch(ctx, w, false, func() ([]control.Status, error) {
		if rounds++; rounds == 2 {
			cancel()
		}
		return []control.Status{busy}, nil
	}))
	w.Close()
	text := make([]byte, 1000)
	n, _ := r.Read(text)
	require.Equal(t, "anna@example.com: 14 changes (1.5 GiB) are not in the cloud yet\n", string(text[:n]), "once, since nothing changed")
}
