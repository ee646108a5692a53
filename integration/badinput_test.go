package integration

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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
	require.Contains(t, refused(t, p, 4, password+"\n", "login", email, "--password-file", "-"), "can't be reached")
}

func TestServerThatSpeaksNoTLS(t *testing.T) {
	p, _ := newProgram(t)
	url := strings.Replace(p.Server.URL(), "http:", "https:", 1)
	require.Contains(t, refused(t, p, 4, password+"\n", "login", email, "--password-file", "-", "--api-url", url), "can't be reached")
}

func TestFoldersThatCannotBeUsed(t *testing.T) {
	p, _ := newProgram(t)
	p.login()
	file := filepath.Join(p.Dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.Contains(t, refused(t, p, 7, password+"\n", "login", email, "--password-file", "-", "--state-dir", file), "--state-dir")
	for _, runtime := range []string{file, filepath.Join(p.Dir, strings.Repeat("x", 120))} {
		other := *p
		other.env = append(append([]string{}, p.env...), "XDG_RUNTIME_DIR="+runtime)
		require.Contains(t, refused(t, &other, 7, "", "mount", p.Point), "XDG_RUNTIME_DIR")
	}
}

func TestStartOnAFullDisk(t *testing.T) {
	needs.FUSE(t)
	if os.Getuid() != 0 {
		t.Skip("SKIPPED, NOT RUN: only root can make a small disk")
	}
	p, account := newProgram(t)
	state := filepath.Join(p.Dir, "state")
	require.NoError(t, os.Mkdir(state, 0o700))
	require.NoError(t, unix.Mount("tmpfs", state, "tmpfs", 0, "size=400m"))
	t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	p.login()
	p.mount()
	p.Server.Faults().FailCommand("p", -17, megatest.Always)
	p.shell("echo precious >f")
	p.run("unmount", "--no-wait", p.Point)
	junk := filepath.Join(state, "junk")
	fill(t, junk)
	require.Contains(t, refused(t, p, 7, "", "mount", p.Point), "free")
	require.Contains(t, refused(t, p, 7, "", "mount", "-f", p.Point), "free")
	require.Contains(t, refused(t, p, 7, "", "logout"), "free")
	require.Contains(t, refused(t, p, 7, password+"\n", "login", email, "--password-file", "-"), "free")
	require.NoError(t, os.Remove(junk))
	p.Server.Faults().Clear()
	p.mount()
	p.run("flush")
	require.Equal(t, "precious\n", string(account.ReadFile(handleOf(t, account, "f"))), "nothing is lost")
	p.run("unmount", p.Point)
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
	p, _ := newProgram(t)
	p.login()
	p.mount()
	p.run("unmount", p.Point)
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
	p.mount()
}

func TestDamagedSession(t *testing.T) {
	p, _ := newProgram(t)
	p.login()
	sessions, err := filepath.Glob(filepath.Join(p.Dir, "state", "*", "*", "session.json"))
	require.NoError(t, err)
	require.Len(t, sessions, 1)
	for _, text := range []string{"", "{", "{}", `{"sid":"x"}`} {
		require.NoError(t, os.WriteFile(sessions[0], []byte(text), 0o600))
		require.Contains(t, refused(t, p, 3, "", "mount", p.Point), "megadisk login")
	}
	p.login()
	p.run("whoami")
}

func TestAllowOtherAsAUser(t *testing.T) {
	needs.FUSE(t)
	conf, _ := os.ReadFile("/etc/fuse.conf")
	if os.Getuid() == 0 || regexp.MustCompile(`(?m)^user_allow_other`).Match(conf) {
		t.Skip("SKIPPED, NOT RUN: this user may")
	}
	p, _ := newProgram(t)
	p.login()
	require.Contains(t, refused(t, p, 6, "", "mount", "-o", "allow_other", p.Point), "user_allow_other")
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
	require.Contains(t, refused(t, p, 6, "", "unmount", p.Point), "programs use it")
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
	require.Contains(t, refused(t, p, 4, password+"\n", "login", email, "--password-file", "-", "--api-url", url), "--api-url")
}
