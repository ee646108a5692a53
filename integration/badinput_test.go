package integration

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/megaclient/megatest"
)

// What bad input gets: one plain sentence on standard error, the right exit status, no stack trace, nothing lost.

// refused runs a command that must fail, checks the manners, and returns the sentence.
func refused(t *testing.T, p *program, status int, stdin string, args ...string) string {
	t.Helper()
	out, errs, got := p.try(stdin, args...)
	require.Equal(t, status, got, "megadisk %s: %s%s", strings.Join(args, " "), out, errs)
	text := strings.TrimSpace(lastLine(errs))
	require.Regexp(t, `^megadisk: .{10,300}$`, text)
	require.NotContains(t, errs, "goroutine ")
	require.NotContains(t, errs, password)
	require.NotRegexp(t, regexp.MustCompile(`0x[0-9a-f]{6,}`), errs)
	return text
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func TestWrongPassword(t *testing.T) {
	p, _ := newProgram(t)
	require.Contains(t, refused(t, p, 3, "wrong\n", "login", email, "--password-file", "-"), "password is wrong")
	require.Contains(t, refused(t, p, 3, "x\n", "login", "nobody@example.com", "--password-file", "-"), "wrong")
	require.Contains(t, refused(t, p, 2, "\n", "login", email, "--password-file", "-"), "empty")
	require.Contains(t, refused(t, p, 1, "", "login", email, "--password-file", filepath.Join(p.Dir, "none")), "no such file")
	require.Contains(t, refused(t, p, 2, "", "login", email), "--password-file")
}

func TestTwoFactorCode(t *testing.T) {
	p, _ := newProgram(t, megatest.MFA("123456"))
	login := []string{"login", email, "--password-file", "-"}
	require.Contains(t, refused(t, p, 3, password+"\n", login...), "--mfa-code")
	require.Contains(t, refused(t, p, 3, password+"\n", append(login, "--mfa-code", "654321")...), "code is wrong")
	_, errs, status := p.try(password+"\n", append(login, "--mfa-code", "123456")...)
	require.Zero(t, status, errs)
	require.Contains(t, p.run("whoami"), email)
}

func TestUnreachableServer(t *testing.T) {
	p, _ := newProgram(t)
	p.login()
	p.Server.Close()
	require.Contains(t, refused(t, p, 4, "", "mount", p.Point), "can't be reached")
	require.Contains(t, refused(t, p, 4, "", "whoami"), "can't be reached")
	require.Contains(t, refused(t, p, 2, "", "whoami", "--api-url", "not a url"), "API address")
}

func TestNotLoggedIn(t *testing.T) {
	p, _ := newProgram(t)
	for _, args := range [][]string{{"mount", p.Point}, {"whoami"}, {"logout"}} {
		require.Contains(t, refused(t, p, 3, "", args...), "megadisk login")
	}
}

func TestMountPoints(t *testing.T) {
	needs.FUSE(t)
	p, _ := newProgram(t)
	p.login()
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

	p.mount()
	require.Contains(t, refused(t, p, 6, "", "mount", p.Point), "already mounted")
	busy := exec.Command("sleep", "1000")
	busy.Dir = p.Point
	require.NoError(t, busy.Start())
	defer func() { _ = busy.Process.Kill(); _ = busy.Wait() }()
	require.Contains(t, refused(t, p, 6, "", "unmount", p.Point), "while programs use it")
	require.Len(t, p.statuses()[0].Mounts, 1, "it stays mounted")
}

func TestStaleMountPoint(t *testing.T) {
	p, _ := newProgram(t)
	p.login()
	p.mount()
	pid := p.statuses()[0].PID
	proc, err := os.FindProcess(pid)
	require.NoError(t, err)
	require.NoError(t, proc.Kill())
	awaitGone(t, pid)
	require.Contains(t, refused(t, p, 6, "", "mount", p.Point), "megadisk unmount")
	p.run("unmount", p.Point)
	p.mount()
}

func TestStateOfAnotherProcess(t *testing.T) {
	p, _ := newProgram(t)
	p.login()
	p.mount()
	// Another runtime folder: the second process can't see the first one's socket, only its lock.
	other := *p
	other.env = append(append([]string{}, p.env...), "XDG_RUNTIME_DIR="+t.TempDir())
	point := filepath.Join(p.Dir, "second")
	require.NoError(t, os.Mkdir(point, 0o755))
	require.Contains(t, refused(t, &other, 7, "", "mount", point), "another process")
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	p, account := newProgram(t)
	account.PutFile(account.Root(), "f", []byte("content"), megatestTime)
	p.login()
	// A file where the cache folder should be: also root can't write there.
	require.NoError(t, os.WriteFile(filepath.Join(p.Dir, "cache"), nil, 0o644))
	p.mount()
	require.Equal(t, "content", string(readFile(t, p.Point, "f")), "it works without a cache on disk")
	require.Contains(t, p.run("status"), "without")
}

func TestSessionEndedElsewhere(t *testing.T) {
	p, account := newProgram(t)
	p.login()
	p.mount()
	account.EndSessions()
	p.shell("echo kept >f && cat f")
	_, errs, status := p.try("", "flush")
	require.Equal(t, 3, status, errs)
	require.Contains(t, errs, "megadisk login")
	require.Contains(t, p.run("status"), "login")
	p.run("unmount", "--no-wait", p.Point)
	p.login()
	p.mount()
	p.run("flush")
	require.Equal(t, "kept\n", string(account.ReadFile(handleOf(t, account, "f"))))
}

func TestLogoutRefusesWhilePending(t *testing.T) {
	p, _ := newProgram(t)
	p.login()
	p.mount()
	p.Server.Faults().FailCommand("p", -17, megatest.Always)
	p.shell("echo x >f")
	p.run("unmount", "--no-wait", p.Point)
	require.Contains(t, refused(t, p, 5, "", "logout"), "not yet in the cloud")
	p.run("logout", "--discard")
	require.Contains(t, refused(t, p, 3, "", "whoami"), "megadisk login")
}

func TestHTMLInsteadOfAnAPI(t *testing.T) {
	p, _ := newProgram(t)
	web := http.FileServer(http.Dir(p.Dir))
	url := serveHTTP(t, web)
	require.NotEmpty(t, refused(t, p, 1, password+"\n", "login", email, "--password-file", "-", "--api-url", url))
}
