package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/megaclient/megatest"
)

// program is the real binary with state, cache and sockets of its own, against a server in this test.
// What a person would type, these tests type.
type program struct {
	t      *testing.T
	bin    string
	env    []string
	Dir    string // holds all of its folders
	Point  string // the usual mount point
	Server *megatest.Server
}

var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "megadisk-bin-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "megadisk")
	out, err := exec.Command("go", "build", "-o", bin, "megadisk/cmd/megadisk").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := buildOnce(); err == nil {
		os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

const (
	email    = "anna@example.com"
	password = "correct horse"
)

// newProgram returns the binary with an empty account, not logged in.
func newProgram(t *testing.T, opts ...megatest.AccountOption) (*program, *megatest.Account) {
	t.Helper()
	bin, err := buildOnce()
	require.NoError(t, err, "building megadisk")
	server := megatest.NewServer()
	t.Cleanup(server.Close)
	account := server.AddAccount(email, password, opts...)
	return programFor(t, bin, server), account
}

func programFor(t *testing.T, bin string, server *megatest.Server) *program {
	t.Helper()
	dir := t.TempDir()
	p := &program{t: t, bin: bin, Dir: dir, Point: filepath.Join(dir, "mnt"), Server: server}
	require.NoError(t, os.Mkdir(p.Point, 0o755))
	p.env = append(os.Environ(), "MEGADISK_API_URL="+server.URL(), "MEGADISK_KEYRING=file",
		"MEGADISK_STATE_DIR="+filepath.Join(dir, "state"), "MEGADISK_CACHE_DIR="+filepath.Join(dir, "cache"),
		"XDG_RUNTIME_DIR="+dir)
	t.Cleanup(p.sweep)
	return p
}

// sweep ends whatever a failed test left mounted.
func (p *program) sweep() {
	for _, st := range p.statuses() {
		for _, m := range st.Mounts {
			_, _, _ = p.try("", "unmount", "--no-wait", m.Mountpoint)
		}
		if proc, err := os.FindProcess(st.PID); err == nil && st.PID > 0 {
			_ = proc.Kill()
		}
	}
	_ = exec.Command("umount", "-l", p.Point).Run()
	if p.t.Failed() {
		for _, log := range p.logs() {
			text, _ := os.ReadFile(log)
			p.t.Logf("%s:\n%s", filepath.Base(log), tail(text, 4000))
		}
	}
}

func (p *program) logs() []string {
	found, _ := filepath.Glob(filepath.Join(p.Dir, "state", "*", "*", "megadisk.log"))
	return found
}

func tail(b []byte, n int) string {
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return string(b)
}

// command is one that is not started yet.
func (p *program) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.bin, args...)
	cmd.Env = p.env
	return cmd
}

// try runs a command and returns its exit status.
func (p *program) try(stdin string, args ...string) (stdout, stderr string, status int) {
	cmd := p.command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.String(), errs.String(), exit.ExitCode()
	}
	if err != nil {
		return out.String(), err.Error(), -1
	}
	return out.String(), errs.String(), 0
}

// run is try for what must work.
func (p *program) run(args ...string) string {
	p.t.Helper()
	out, errs, status := p.try("", args...)
	require.Zero(p.t, status, "megadisk %s: %s", strings.Join(args, " "), errs)
	return out
}

func (p *program) login() {
	p.t.Helper()
	_, errs, status := p.try(password+"\n", "login", email, "--password-file", "-")
	require.Zero(p.t, status, errs)
}

func (p *program) mount() {
	p.t.Helper()
	needs.FUSE(p.t)
	p.run("mount", p.Point)
}

type statusJSON struct {
	PID    int `json:"pid"`
	Mounts []struct {
		Mountpoint string `json:"mountpoint"`
	} `json:"mounts"`
	Online  bool   `json:"online"`
	Problem string `json:"problem"`
	Pending struct {
		Changes int   `json:"changes"`
		Bytes   int64 `json:"bytes"`
	} `json:"pending"`
}

func (p *program) statuses() []statusJSON {
	out, _, status := p.try("", "status", "--json")
	var all []statusJSON
	if status != 0 || json.Unmarshal([]byte(out), &all) != nil {
		return nil
	}
	return all
}

// kill ends the mounting process as a power cut would end it, and takes the dead mount away.
func (p *program) kill() {
	p.t.Helper()
	all := p.statuses()
	require.Len(p.t, all, 1)
	proc, err := os.FindProcess(all[0].PID)
	require.NoError(p.t, err)
	require.NoError(p.t, proc.Kill())
	awaitGone(p.t, all[0].PID)
	p.run("unmount", p.Point)
}

// awaitGone returns when the process, with all of its threads, has ended. It is not our child, so the kernel's
// word is a pidfd; /proc would call it a zombie while threads still hold its files.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	require.NoError(t, err)
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 1, n, "process %d does not end", pid)
		return
	}
}

// shell runs a command line with the mount point as working directory.
func (p *program) shell(script string) string {
	p.t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = p.Point
	cmd.Env = append(p.env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	require.NoError(p.t, err, "%s\n%s", script, tail(out, 4000))
	return string(out)
}
