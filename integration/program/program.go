// Package program runs the real binary, as a person would type it, with state, cache and sockets of its own,
// against a MEGA server in the test.
//
//	p, account := program.WithAccount(t)
//	p.Login()
//	p.Mount()
//	p.Shell("echo hello >file")
//	p.Run("flush")
//
// A package that uses it calls CleanUp at the end of its TestMain.
package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/megaclient/megatest"
)

// The account of a Program from WithAccount.
const (
	Email    = "anna@example.com"
	Password = "correct horse"
)

// Program is the real binary with folders of its own.
type Program struct {
	T   *testing.T
	Bin string
	Env []string
	// Through stands before each command of the binary: what enters another network, say.
	Through []string
	Dir     string // holds all of its folders
	Point   string // the usual mount point
	Server  *megatest.Server
}

var building struct {
	sync.Mutex
	dir   string            // where binaries lie, "" before the first was built. GUARDED_BY(Mutex)
	built map[string]string // by package. GUARDED_BY(Mutex)
}

// Build builds the program of a package, once for all tests, and tells where it lies.
func Build(t *testing.T, pkg string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	if bin := building.built[pkg]; bin != "" {
		return bin
	}
	if building.dir == "" {
		dir, err := os.MkdirTemp("", "megadisk-bin-")
		require.NoError(t, err)
		building.dir, building.built = dir, map[string]string{}
	}
	bin := filepath.Join(building.dir, path.Base(pkg))
	out, err := exec.Command("go", "build", "-o", bin, pkg).CombinedOutput()
	require.NoError(t, err, "building %s: %s", pkg, out)
	building.built[pkg] = bin
	return bin
}

// CleanUp removes what was built.
func CleanUp() {
	building.Lock()
	defer building.Unlock()
	if building.dir != "" {
		os.RemoveAll(building.dir)
	}
}

// WithAccount returns the binary with a server of its own that has an empty account; it is not logged in.
func WithAccount(t *testing.T, opts ...megatest.AccountOption) (*Program, *megatest.Account) {
	t.Helper()
	server := megatest.NewServer()
	t.Cleanup(server.Close)
	account := server.AddAccount(Email, Password, opts...)
	return New(t, server), account
}

// New returns the binary, built once, for a server. Whatever it leaves mounted ends with the test.
func New(t *testing.T, server *megatest.Server) *Program {
	t.Helper()
	bin, dir := Build(t, "megadisk/cmd/megadisk"), t.TempDir()
	p := &Program{T: t, Bin: bin, Dir: dir, Point: filepath.Join(dir, "mnt"), Server: server}
	require.NoError(t, os.Mkdir(p.Point, 0o755))
	p.Env = append(os.Environ(), "MEGADISK_API_URL="+server.URL(), "MEGADISK_KEYRING=file",
		"MEGADISK_STATE_DIR="+filepath.Join(dir, "state"), "MEGADISK_CACHE_DIR="+filepath.Join(dir, "cache"),
		"XDG_CACHE_HOME="+filepath.Join(dir, "usercache"), // where the desktop looks for thumbnails
		"XDG_RUNTIME_DIR="+dir)
	t.Cleanup(p.sweep)
	return p
}

// sweep ends whatever a failed test left mounted.
func (p *Program) sweep() {
	for _, st := range p.Statuses() {
		for _, m := range st.Mounts {
			unmount := p.Command("unmount", "--no-wait", m.Mountpoint)
			unmount.WaitDelay = time.Second
			if unmount.Start() == nil {
				late := time.AfterFunc(20*time.Second, func() { _ = unmount.Process.Kill() })
				_ = unmount.Wait()
				late.Stop()
			}
		}
		if proc, err := os.FindProcess(st.PID); err == nil && st.PID > 0 {
			_ = proc.Kill()
		}
	}
	_ = exec.Command("umount", "-l", p.Point).Run()
	for _, log := range p.Logs() {
		if text, _ := os.ReadFile(log); panicked.Match(text) {
			p.T.Errorf("a mounting process panicked")
		}
	}
	if p.T.Failed() {
		for _, log := range p.Logs() {
			text, _ := os.ReadFile(log)
			p.T.Logf("%s:\n%s", filepath.Base(log), tail(text, 4000))
		}
	}
}

// panicked finds how Go says that a process ends itself.
var panicked = regexp.MustCompile(`(?m)^(panic|fatal error): `)

// Logs are the files in which the mounting processes say what they do.
func (p *Program) Logs() []string {
	found, _ := filepath.Glob(filepath.Join(p.Dir, "state", "*", "*", "megadisk.log"))
	return found
}

func tail(b []byte, n int) string {
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return string(b)
}

// Command is one that is not started yet.
func (p *Program) Command(args ...string) *exec.Cmd {
	line := append(append([]string{}, p.Through...), append([]string{p.Bin}, args...)...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = p.Env
	return cmd
}

// Try runs a command and returns its exit status.
func (p *Program) Try(stdin string, args ...string) (stdout, stderr string, status int) {
	cmd := p.Command(args...)
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

// Run is Try for what must work.
func (p *Program) Run(args ...string) string {
	p.T.Helper()
	out, errs, status := p.Try("", args...)
	require.Zero(p.T, status, "megadisk %s: %s", strings.Join(args, " "), errs)
	return out
}

// Login logs in with the account of WithAccount.
func (p *Program) Login() { p.LoginAs(Email, Password) }

// LoginAs logs in with another one.
func (p *Program) LoginAs(email, password string) {
	p.T.Helper()
	_, errs, status := p.Try(password+"\n", "login", email, "--password-file", "-")
	require.Zero(p.T, status, errs)
}

// Mount mounts the drive at the usual mount point, in the background.
func (p *Program) Mount() {
	p.T.Helper()
	needs.FUSE(p.T)
	p.Run("mount", p.Point)
}

// Status is what tests need of `megadisk status --json`.
type Status struct {
	PID    int `json:"pid"`
	Mounts []struct {
		Mountpoint string `json:"mountpoint"`
	} `json:"mounts"`
	Online  bool       `json:"online"`
	Offline *time.Time `json:"offline_since"`
	Pinned  []struct {
		Files int   `json:"files"`
		Bytes int64 `json:"bytes"`
		Here  int64 `json:"here"`
	} `json:"pinned"`
	Cache struct {
		Bytes int64 `json:"bytes"`
	} `json:"cache"`
	Transfers []struct {
		Done int64 `json:"done"`
	} `json:"transfers"`
	Problem string `json:"problem"`
	Pending struct {
		Changes int   `json:"changes"`
		Bytes   int64 `json:"bytes"`
	} `json:"pending"`
}

// Statuses are those of all processes that answer.
func (p *Program) Statuses() []Status {
	out, _, status := p.Try("", "status", "--json")
	var all []Status
	if status != 0 || json.Unmarshal([]byte(out), &all) != nil {
		return nil
	}
	return all
}

// Kill ends the mounting process as a power cut would end it, and takes the dead mount away.
func (p *Program) Kill() {
	p.T.Helper()
	all := p.Statuses()
	require.Len(p.T, all, 1)
	proc, err := os.FindProcess(all[0].PID)
	require.NoError(p.T, err)
	require.NoError(p.T, proc.Kill())
	AwaitGone(p.T, all[0].PID)
	p.Run("unmount", p.Point)
}

// AwaitGone returns when the process, with all of its threads, has ended.
func AwaitGone(t *testing.T, pid int) {
	t.Helper()
	gone, err := Ends(pid, time.Minute)
	require.NoError(t, err)
	require.True(t, gone, "process %d does not end", pid)
}

// Ends waits so long for a process to end, with all of its threads. It is not our child, so the kernel's word is a
// pidfd; /proc would call it a zombie while threads still hold its files.
func Ends(pid int, limit time.Duration) (bool, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n == 1, err
	}
}

// Shell runs a command line with the mount point as working directory.
func (p *Program) Shell(script string) string {
	p.T.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = p.Point
	cmd.Env = append(slices.Clip(p.Env), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	require.NoError(p.T, err, "%s\n%s", script, tail(out, 4000))
	return string(out)
}
