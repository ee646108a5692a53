package integration

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// What bad input gets: one plain sentence on standard error, the right exit status, no stack trace, nothing lost.

// refused runs a command that must fail, checks the manners, and returns the sentence.
func refused(t *testing.T, p *program.Program, status int, stdin string, args ...string) string {
	t.Helper()
	out, errs, got := p.Try(stdin, args...)
	require.Equal(t, status, got, "megadisk %s: %s%s", strings.Join(args, " "), out, errs)
	text := strings.TrimSpace(lastLine(errs))
	require.Regexp(t, `^megadisk: .{10,300}$`, text)
	require.NotContains(t, errs, "goroutine ")
	require.NotContains(t, errs, program.Password)
	require.NotRegexp(t, regexp.MustCompile(`0x[0-9a-f]{6,}`), errs)
	return text
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func TestWrongPassword(t *testing.T) {
	p, _ := program.WithAccount(t)
	require.Contains(t, refused(t, p, 3, "wrong\n", "login", program.Email, "--password-file", "-"), "password is wrong")
	require.Contains(t, refused(t, p, 3, "x\n", "login", "nobody@example.com", "--password-file", "-"), "wrong")
	require.Contains(t, refused(t, p, 2, "\n", "login", program.Email, "--password-file", "-"), "empty")
	require.Contains(t, refused(t, p, 1, "", "login", program.Email, "--password-file", filepath.Join(p.Dir, "none")), "no such file")
	require.Contains(t, refused(t, p, 2, "", "login", program.Email), "--password-file")
}

func TestTwoFactorCode(t *testing.T) {
	p, _ := program.WithAccount(t, megatest.MFA("123456"))
	login := []string{"login", program.Email, "--password-file", "-"}
	require.Contains(t, refused(t, p, 3, program.Password+"\n", login...), "--mfa-code")
	require.Contains(t, refused(t, p, 3, program.Password+"\n", append(login, "--mfa-code", "654321")...), "code is wrong")
	_, errs, status := p.Try(program.Password+"\n", append(login, "--mfa-code", "123456")...)
	require.Zero(t, status, errs)
	require.Contains(t, p.Run("whoami"), program.Email)
}

func TestUnreachableServer(t *testing.T) {
	t.Parallel() // each command waits for a while, in case that the network comes back
	p, _ := program.WithAccount(t)
	p.Login()
	p.Server.Close()
	var commands sync.WaitGroup
	for _, c := range []struct {
		status      int
		stdin, says string
		args        []string
	}{
		{4, "", "can't be reached", []string{"mount", p.Point}},
		{4, "", "can't be reached", []string{"whoami"}},
		{4, program.Password + "\n", "can't be reached", []string{"login", program.Email, "--password-file", "-"}},
		{2, "", "API address", []string{"whoami", "--api-url", "not a url"}},
	} {
		commands.Go(func() {
			t.Run(c.args[0], func(t *testing.T) { require.Contains(t, refused(t, p, c.status, c.stdin, c.args...), c.says) })
		})
	}
	commands.Wait()
}

func TestServerThatSpeaksNoTLS(t *testing.T) {
	p, _ := program.WithAccount(t)
	url := strings.Replace(p.Server.URL(), "http:", "https:", 1)
	require.Contains(t, refused(t, p, 4, program.Password+"\n", "login", program.Email, "--password-file", "-", "--api-url", url), "can't be reached")
}

func TestFoldersThatCannotBeUsed(t *testing.T) {
	p, _ := program.WithAccount(t)
	p.Login()
	file := filepath.Join(p.Dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.Contains(t, refused(t, p, 7, program.Password+"\n", "login", program.Email, "--password-file", "-", "--state-dir", file), "--state-dir")
	for _, runtime := range []string{file, filepath.Join(p.Dir, strings.Repeat("x", 120))} {
		other := *p
		other.Env = append(append([]string{}, p.Env...), "XDG_RUNTIME_DIR="+runtime)
		require.Contains(t, refused(t, &other, 7, "", "mount", p.Point), "XDG_RUNTIME_DIR")
	}
}

func TestStartOnAFullDisk(t *testing.T) {
	needs.FUSE(t)
	if os.Getuid() != 0 {
		t.Skip("SKIPPED, NOT RUN: only root can make a small disk")
	}
	p, account := program.WithAccount(t)
	state := filepath.Join(p.Dir, "state")
	require.NoError(t, os.Mkdir(state, 0o700))
	require.NoError(t, unix.Mount("tmpfs", state, "tmpfs", 0, "size=1g"))
	t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	p.Login()
	p.Mount()
	p.Server.Faults().FailCommand("p", -17, megatest.Always)
	p.Shell("echo precious >f")
	p.Run("unmount", "--no-wait", p.Point)
	junk := filepath.Join(state, "junk")
	fill(t, junk)
	p.Mount() // the reserve is for this
	require.Equal(t, "precious\n", p.Shell("cat f"))
	require.Contains(t, p.Shell("echo more >g 2>&1 || true"), "No space left")
	p.Run("unmount", "--no-wait", p.Point)
	require.NoError(t, os.Remove(junk))
	p.Server.Faults().Clear()
	p.Mount()
	p.Run("flush")
	require.Equal(t, "precious\n", string(account.ReadFile(handleOf(t, account, "f"))), "nothing is lost")
	p.Run("unmount", p.Point)
}

// fill leaves nothing free on a disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	block := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(block)
	}
	require.ErrorIs(t, err, unix.ENOSPC)
}

func TestStateOfANewerVersion(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	p.Mount()
	p.Run("unmount", p.Point)
	keys, err := filepath.Glob(filepath.Join(p.Dir, "state", "*", "*", "state.key"))
	require.NoError(t, err)
	require.Len(t, keys, 1)
	key, err := os.ReadFile(keys[0])
	require.NoError(t, err)
	require.Equal(t, []byte{0xa3, 1, 1}, key[:3], "a CBOR map whose first value is the version")
	other := bytes.Clone(key)
	other[2] = 9
	require.NoError(t, os.WriteFile(keys[0], other, 0o600))
	require.Contains(t, refused(t, p, 7, "", "mount", p.Point), "newer megadisk")
	other[2] = 1
	other[len(other)-1]++
	require.NoError(t, os.WriteFile(keys[0], other, 0o600))
	require.Contains(t, refused(t, p, 7, "", "mount", p.Point), "key of this login")
	require.NoError(t, os.WriteFile(keys[0], key, 0o600))
	p.Mount()
}

func TestDamagedSession(t *testing.T) {
	p, _ := program.WithAccount(t)
	p.Login()
	sessions, err := filepath.Glob(filepath.Join(p.Dir, "state", "*", "*", "session.json"))
	require.NoError(t, err)
	require.Len(t, sessions, 1)
	for _, text := range []string{"", "{", "{}", `{"sid":"x"}`} {
		require.NoError(t, os.WriteFile(sessions[0], []byte(text), 0o600))
		require.Contains(t, refused(t, p, 3, "", "mount", p.Point), "megadisk login")
	}
	p.Login()
	p.Run("whoami")
}

func TestAllowOtherAsAUser(t *testing.T) {
	needs.FUSE(t)
	conf, _ := os.ReadFile("/etc/fuse.conf")
	if os.Getuid() == 0 || regexp.MustCompile(`(?m)^user_allow_other`).Match(conf) {
		t.Skip("SKIPPED, NOT RUN: this user may")
	}
	p, _ := program.WithAccount(t)
	p.Login()
	require.Contains(t, refused(t, p, 6, "", "mount", "-o", "allow_other", p.Point), "user_allow_other")
}

func TestNotLoggedIn(t *testing.T) {
	p, _ := program.WithAccount(t)
	for _, args := range [][]string{{"mount", p.Point}, {"whoami"}, {"logout"}} {
		require.Contains(t, refused(t, p, 3, "", args...), "megadisk login")
	}
}

func TestMountPoints(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	require.Contains(t, refused(t, p, 6, "", "mount", filepath.Join(p.Dir, "missing")), "mkdir -p")
	file := filepath.Join(p.Dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.Contains(t, refused(t, p, 6, "", "mount", file), "not a folder")
	require.Contains(t, refused(t, p, 6, "", "mount", "/proc"), "another filesystem")
	require.Contains(t, refused(t, p, 6, "", "mount", "/No/Such/Folder", p.Point), "no such folder in the cloud")
	require.Contains(t, refused(t, p, 2, "", "mount", "relative", p.Point), "begins with a slash")
	require.Contains(t, refused(t, p, 2, "", "mount", p.Point, "-o", "nonsense=1"), "nonsense")
	require.Contains(t, refused(t, p, 2, "", "mount"), "usage")
	require.Contains(t, refused(t, p, 6, "", "unmount", p.Dir), "shows nothing there")

	p.Mount()
	require.Contains(t, refused(t, p, 6, "", "mount", p.Point), "already mounted")
	busy := exec.Command("sleep", "1000")
	busy.Dir = p.Point
	require.NoError(t, busy.Start())
	defer func() { _ = busy.Process.Kill(); _ = busy.Wait() }()
	require.Contains(t, refused(t, p, 6, "", "unmount", p.Point), "programs use it")
	require.Len(t, p.Statuses()[0].Mounts, 1, "it stays mounted")
}

func TestStaleMountPoint(t *testing.T) {
	p, _ := program.WithAccount(t)
	p.Login()
	p.Mount()
	pid := p.Statuses()[0].PID
	proc, err := os.FindProcess(pid)
	require.NoError(t, err)
	require.NoError(t, proc.Kill())
	program.AwaitGone(t, pid)
	p.Run("unmount", p.Point)
	require.Contains(t, refused(t, p, 6, "", "unmount", p.Point), "shows nothing there")
	p.Mount()
}

func TestStateOfAnotherProcess(t *testing.T) {
	p, _ := program.WithAccount(t)
	p.Login()
	p.Mount()
	// Another runtime folder: the second process can't see the first one's socket, only its lock.
	other := *p
	other.Env = append(append([]string{}, p.Env...), "XDG_RUNTIME_DIR="+t.TempDir())
	point := filepath.Join(p.Dir, "second")
	require.NoError(t, os.Mkdir(point, 0o755))
	require.Contains(t, refused(t, &other, 7, "", "mount", point), "another process")
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	p, account := program.WithAccount(t)
	account.PutFile(account.Root(), "f", []byte("content"), megatestTime)
	p.Login()
	// A file where the cache folder should be: also root can't write there.
	require.NoError(t, os.WriteFile(filepath.Join(p.Dir, "cache"), nil, 0o644))
	p.Mount()
	require.Equal(t, "content", string(readFile(t, p.Point, "f")), "it works without a cache on disk")
	require.Contains(t, p.Run("status"), "without")
}

func TestSessionEndedElsewhere(t *testing.T) {
	p, account := program.WithAccount(t)
	p.Login()
	p.Mount()
	account.EndSessions()
	p.Shell("echo kept >f && cat f")
	_, errs, status := p.Try("", "flush")
	require.Equal(t, 3, status, errs)
	require.Contains(t, errs, "megadisk login")
	require.Contains(t, p.Run("status"), "login")
	p.Run("unmount", "--no-wait", p.Point)
	p.Login()
	p.Mount()
	p.Run("flush")
	require.Equal(t, "kept\n", string(account.ReadFile(handleOf(t, account, "f"))))
}

func TestLogoutRefusesWhilePending(t *testing.T) {
	p, _ := program.WithAccount(t)
	p.Login()
	p.Mount()
	p.Server.Faults().FailCommand("p", -17, megatest.Always)
	p.Shell("echo x >f")
	p.Run("unmount", "--no-wait", p.Point)
	require.Contains(t, refused(t, p, 5, "", "logout"), "not yet in the cloud")
	p.Run("logout", "--discard")
	require.Contains(t, refused(t, p, 3, "", "whoami"), "megadisk login")
}

func TestHTMLInsteadOfAnAPI(t *testing.T) {
	p, _ := program.WithAccount(t)
	web := http.FileServer(http.Dir(p.Dir))
	url := serveHTTP(t, web)
	require.Contains(t, refused(t, p, 4, program.Password+"\n", "login", program.Email, "--password-file", "-", "--api-url", url), "--api-url")
}

// TestRuntimeFolderOfAnotherUser: sockets that somebody else may have put there are neither used nor asked.
func TestRuntimeFolderOfAnotherUser(t *testing.T) {
	needs.Root(t)
	p, _ := program.WithAccount(t)
	p.Login()
	dir := filepath.Join(p.Dir, "runtime", "megadisk")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.Chown(dir, 1000, 1000))
	other := *p
	other.Env = append(append([]string{}, p.Env...), "XDG_RUNTIME_DIR="+filepath.Dir(dir))
	require.Contains(t, refused(t, &other, 7, "", "mount", p.Point), "belongs to somebody else")
	require.Contains(t, other.Run("status"), "Nothing is mounted")
}

// TestJSONOnAClosedPipe: who reads no further ends the command, and nothing else.
func TestJSONOnAClosedPipe(t *testing.T) {
	p, _ := mountedProgram(t)
	p.Shell("echo x >f")
	for _, args := range [][]string{{"status", "--json"}, {"find", p.Point, "--json"}, {"log", "--json"}} {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		require.NoError(t, r.Close())
		cmd := p.Command(args...)
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &errs
		err = cmd.Run()
		require.NoError(t, w.Close())
		require.NotContains(t, errs.String(), "goroutine", args)
		if args[0] != "log" { // which may have nothing to say yet
			require.Error(t, err, args)
		}
	}
	require.Len(t, p.Statuses(), 1)
	require.Equal(t, "x\n", p.Shell("cat f"))
	p.Run("unmount", p.Point)
}

// TestFusermountThatFails: an ordinary user, for whom fusermount3 mounts, gets one sentence, and nothing is left behind.
func TestFusermountThatFails(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	asUser(t, p)
	p.Login()
	tools := filepath.Join(p.Dir, "tools")
	require.NoError(t, os.Mkdir(tools, 0o755))
	p.Env = append(p.Env, "PATH="+tools+":"+os.Getenv("PATH"))
	for script, says := range map[string]string{
		"#!/bin/sh\nexit 1\n":                         "fusermount3 doesn't work",
		"#!/bin/sh\necho fusermount version: 2.5.3\n": "too old",
		"#!/bin/sh\n[ \"$1\" = --version ] && { echo fusermount3 version: 3.14.0; exit 0; }\necho no >&2\nexit 1\n": "fusermount3 doesn't work",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(tools, "fusermount3"), []byte(script), 0o755))
		require.Contains(t, refused(t, p, 6, "", "mount", p.Point), says)
		require.Empty(t, p.Statuses())
	}
}

// TestUnmountThatTakesLong: the mount's last request is over long before the kernel has forgotten its names. Who asked for
// the unmounting is answered all the same.
func TestUnmountThatTakesLong(t *testing.T) {
	needs.FUSE(t)
	needs.Programs(t, "fusermount3")
	real, err := exec.LookPath("fusermount3")
	require.NoError(t, err)
	p, _ := program.WithAccount(t)
	asUser(t, p)
	p.Login()
	tools := filepath.Join(p.Dir, "tools")
	require.NoError(t, os.Mkdir(tools, 0o755))
	slow := "#!/bin/sh\n" + real + " \"$@\" || exit\n[ \"$1\" != -u ] || sleep 3\n"
	require.NoError(t, os.WriteFile(filepath.Join(tools, "fusermount3"), []byte(slow), 0o755))
	p.Env = append(p.Env, "PATH="+tools+":"+os.Getenv("PATH"))
	p.Run("mount", p.Point)
	p.Run("unmount", p.Point)
	require.Empty(t, p.Statuses())
}

// nobody is an ordinary user, and that user's group.
const nobody = 65534

// asUser lets the program run as an ordinary user, who owns its folders.
func asUser(t *testing.T, p *program.Program) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	needs.Programs(t, "setpriv")
	dir, err := os.MkdirTemp("", "megadisk-user-") // a test's own folder lets only root in
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	code, err := os.ReadFile(p.Bin)
	require.NoError(t, err)
	p.Bin = filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(p.Bin, code, 0o755))
	for i, v := range p.Env {
		p.Env[i] = strings.ReplaceAll(v, p.Dir, dir)
	}
	p.Dir, p.Point = dir, filepath.Join(dir, "mnt")
	require.NoError(t, os.Mkdir(p.Point, 0o755))
	for _, path := range []string{dir, p.Point} {
		require.NoError(t, os.Chmod(path, 0o755))
		require.NoError(t, os.Chown(path, nobody, nobody))
	}
	p.Env = append(p.Env, "HOME="+dir)
	p.Through = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
}
