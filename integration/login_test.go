package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// How a session comes to be, where nobody can be asked, and what happens when it ends.

func secretFile(t *testing.T, p *program.Program, name, text string) string {
	t.Helper()
	path := filepath.Join(p.Dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestMountLogsInOnce(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	whole := secretFile(t, p, "credentials", "email="+program.Email+"\npassword="+program.Password+"\n")
	word := secretFile(t, p, "word", program.Password+"\n")
	dir := filepath.Join(p.Dir, "systemd")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Rename(secretFile(t, p, "x", "email="+program.Email+"\npassword="+program.Password+"\n"), filepath.Join(dir, "megadisk")))
	who := program.Email + ":/"
	for name, c := range map[string]struct {
		args []string
		env  []string
	}{
		"credentials":           {args: []string{"mount", p.Point, "-o", "credentials=" + whole}},
		"password file":         {args: []string{"mount", who, p.Point, "--password-file", word}},
		"password command":      {args: []string{"mount", who, p.Point, "-o", "password_command=cat '" + word + "'"}},
		"credentials directory": {args: []string{"mount", p.Point}, env: []string{"CREDENTIALS_DIRECTORY=" + dir}},
	} {
		t.Run(name, func(t *testing.T) {
			once := *p
			once.T, once.Env = t, append(append([]string{}, p.Env...), c.env...)
			before := p.Server.Stats().Commands["us"]
			for range 2 {
				once.Run(c.args...)
				once.Run("unmount", p.Point)
			}
			require.Equal(t, before+1, p.Server.Stats().Commands["us"], "one login; then the session is resumed")
			once.Run("logout")
		})
	}
	require.NoError(t, os.Chmod(whole, 0o644))
	require.Contains(t, refused(t, p, 1, "", "mount", p.Point, "-o", "credentials="+whole), "chmod 600")
	require.Contains(t, refused(t, p, 2, "", "mount", p.Point, "--password-file", word), "for whom")
}

// A stored session that is damaged is as none: a mount that has the credentials at hand, as at boot, logs in once more.
func TestDamagedSessionIsAsNone(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	whole := secretFile(t, p, "credentials", "email="+program.Email+"\npassword="+program.Password+"\n")
	p.Login()
	session := one(t, filepath.Join(p.Dir, "state", "*", "*", "session.json"))
	for logins, damaged := range []string{"{", "{}"} {
		require.NoError(t, os.WriteFile(session, []byte(damaged), 0o600))
		require.Contains(t, refused(t, p, 3, "", "mount", p.Point), "megadisk login")
		for range 2 {
			p.Run("mount", p.Point, "-o", "credentials="+whole)
			p.Run("unmount", p.Point)
			require.Equal(t, logins+2, p.Server.Stats().Commands["us"])
		}
	}
}

func TestRefusedLoginIsNotRepeated(t *testing.T) {
	p, _ := program.WithAccount(t)
	wrong := secretFile(t, p, "wrong", "guess\n")
	who := program.Email + ":/"
	refused(t, p, 3, "", "mount", who, p.Point, "--password-file", wrong)
	asked := p.Server.Stats().Commands["us"]
	for range 3 {
		require.Contains(t, refused(t, p, 3, "", "mount", who, p.Point, "--password-file", wrong), "too early")
	}
	require.Equal(t, asked, p.Server.Stats().Commands["us"], "the server isn't asked again")
	p.Login() // a person may correct it
}

// A session that can't be kept isn't left open on the server; one that is kept all the same isn't ended.
func TestLoginThatCantBeKept(t *testing.T) {
	p, account := program.WithAccount(t)
	state := filepath.Join(p.Dir, "state", strings.ReplaceAll(strings.TrimPrefix(p.Server.URL(), "http://"), ":", "_"))
	inTheWay := func(path string) (away func()) {
		require.NoError(t, os.MkdirAll(path, 0o700))
		return func() { require.NoError(t, os.Remove(path)) }
	}
	away := inTheWay(filepath.Join(state, account.Handle, "session.json"))
	refused(t, p, 1, program.Password+"\n", "login", program.Email, "--password-file", "-")
	require.Equal(t, 1, p.Server.Stats().Commands["us"])
	require.Empty(t, account.Sessions())
	away()
	p.Login()
	require.Len(t, account.Sessions(), 1)

	away = inTheWay(filepath.Join(state, "accounts.json.new"))
	refused(t, p, 1, program.Password+"\n", "login", program.Email, "--password-file", "-")
	require.Len(t, account.Sessions(), 2)
	require.Contains(t, p.Run("whoami"), program.Email)
	away()
}

func TestServersWaitSurvivesRestarts(t *testing.T) {
	p, _ := program.WithAccount(t)
	p.Server.Faults().FailCommand("us", -6, 1)
	refused(t, p, 1, program.Password+"\n", "login", program.Email, "--password-file", "-")
	require.Contains(t, refused(t, p, 3, program.Password+"\n", "login", program.Email, "--password-file", "-"), "too early")
	require.Equal(t, 1, p.Server.Stats().Commands["us"])

	var asked atomic.Int32
	url := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	require.Contains(t, refused(t, p, 1, "x\n", "login", program.Email, "--password-file", "-", "--api-url", url), "1h0m0s")
	require.Contains(t, refused(t, p, 3, "x\n", "login", program.Email, "--password-file", "-", "--api-url", url), "too early")
	require.Equal(t, int32(1), asked.Load())
}

func TestNewSessionRevivesTheMount(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	p.Login()
	p.Mount()
	pid := p.Statuses()[0].PID
	account.PutFile(account.Root(), "before", []byte("text"), megatestTime)
	requireEventuallyFile(t, filepath.Join(p.Point, "before"), "text")

	account.EndSessions()
	p.Shell("echo kept >f && cat f before")
	_, errs, status := p.Try("", "flush")
	require.Equal(t, 3, status, errs)
	require.Contains(t, p.Statuses()[0].Problem, "megadisk login")

	p.Login()
	p.Run("flush")
	require.Equal(t, "kept\n", string(account.ReadFile(handleOf(t, account, "f"))))
	account.PutFile(account.Root(), "after", []byte("comes"), time.Now())
	requireEventuallyFile(t, filepath.Join(p.Point, "after"), "comes")
	require.Equal(t, pid, p.Statuses()[0].PID, "it is the same process")
	require.Empty(t, p.Statuses()[0].Problem)
	p.Run("unmount", p.Point)

	other := p.Server.AddAccount("eve@example.com", program.Password)
	other.Mkdir(other.Root(), "d")
	p.Mount()
	p.LoginAs("eve@example.com", program.Password) // nothing of hers is mounted
	p.Run("unmount", p.Point)
}
