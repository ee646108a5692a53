package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// terminal is a person at a terminal of their own, in which one command runs.
type terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd

	mu    sync.Mutex
	shown strings.Builder // GUARDED_BY(mu)
	echo  bool            // GUARDED_BY(mu); whether it showed what is typed when it last showed something
}

func newTerminal(p *program.Program, args ...string) *terminal {
	p.T.Helper()
	return terminalOf(p, p.Command(args...))
}

// terminalOf is one in which any command runs.
func terminalOf(p *program.Program, cmd *exec.Cmd) *terminal {
	p.T.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(p.T, err)
	p.T.Cleanup(func() { master.Close() })
	require.NoError(p.T, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(p.T, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(p.T, err)
	p.T.Cleanup(func() { slave.Close() }) // held open, so that its settings outlive the command
	tt := &terminal{t: p.T, master: master, cmd: cmd}
	tt.cmd.Stdin, tt.cmd.Stdout, tt.cmd.Stderr = slave, slave, slave
	tt.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(p.T, tt.cmd.Start())
	go tt.watch() // ends when the terminal is closed
	return tt
}

func (tt *terminal) watch() {
	buf := make([]byte, 1024)
	for {
		n, err := tt.master.Read(buf)
		echo, _ := echoes(tt.master) // of a terminal that is closed nobody asks
		tt.mu.Lock()
		tt.shown.Write(buf[:n])
		tt.echo = echo
		tt.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// echoes tells whether a terminal shows what is typed.
func echoes(master *os.File) (bool, error) {
	settings, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
	return err == nil && settings.Lflag&unix.ECHO != 0, err
}

// types waits for a prompt and answers it; a password is asked for once the terminal doesn't show any more what is typed.
func (tt *terminal) types(prompt, keys string) {
	tt.t.Helper()
	require.Eventually(tt.t, func() bool { return strings.HasSuffix(tt.text(), prompt) }, bounded, 10*time.Millisecond,
		"no prompt %q", prompt)
	if strings.HasPrefix(prompt, "Password") {
		tt.mu.Lock()
		echo := tt.echo
		tt.mu.Unlock()
		require.False(tt.t, echo, "what is typed after %q is shown", prompt)
	}
	_, err := io.WriteString(tt.master, keys)
	require.NoError(tt.t, err)
}

func (tt *terminal) text() string {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return tt.shown.String()
}

// ends gives the exit status and demands that the terminal shows again what is typed.
func (tt *terminal) ends() int {
	tt.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- tt.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(bounded):
		_ = tt.cmd.Process.Kill()
		tt.t.Fatalf("it does not end; the terminal shows %q", tt.text())
	}
	echo, err := echoes(tt.master)
	require.NoError(tt.t, err)
	require.True(tt.t, echo, "the terminal shows what is typed")
	return tt.cmd.ProcessState.ExitCode()
}

const ctrlC = "\x03"

func TestLoginOnATerminal(t *testing.T) {
	p, _ := program.WithAccount(t, megatest.MFA("123456"))
	tt := newTerminal(p, "login")
	tt.types("E-mail: ", program.Email+"\n")
	tt.types("Password: ", program.Password+"\n")
	tt.types("Two-factor code: ", "123456\n")
	require.Zero(t, tt.ends(), tt.text())
	require.NotContains(t, tt.text(), program.Password)

	tt = newTerminal(p, "login", program.Email)
	tt.types("Password: ", program.Password+"\n")
	tt.types("Two-factor code: ", "654321\n")
	require.Equal(t, 3, tt.ends(), tt.text())

	tt = newTerminal(p, "login", program.Email)
	tt.types("Password: ", "\n")
	require.Equal(t, 2, tt.ends(), tt.text())
}

func TestCtrlCAtEachPrompt(t *testing.T) {
	p, _ := program.WithAccount(t, megatest.MFA("123456"))
	answers := []struct{ prompt, keys string }{{"E-mail: ", program.Email + "\n"}, {"Password: ", program.Password + "\n"}, {"Two-factor code: ", ""}}
	for stop := range answers {
		tt := newTerminal(p, "login")
		for _, a := range answers[:stop] {
			tt.types(a.prompt, a.keys)
		}
		tt.types(answers[stop].prompt, ctrlC)
		require.Equal(t, 1, tt.ends(), tt.text())
		require.Eventually(t, func() bool { return strings.Contains(tt.text(), "interrupted") }, bounded, 10*time.Millisecond)
	}
	require.Contains(t, refused(t, p, 3, "", "whoami"), "megadisk login", "nobody is logged in")
}

// Whoever verifies at a terminal sees how far it is, and then the report.
func TestVerifyOnATerminal(t *testing.T) {
	p, account := program.WithAccount(t)
	for i := range 3 {
		account.PutFile(account.Root(), fmt.Sprint("f", i), noise(2<<20, uint64(i)), time.Now())
	}
	p.Login()
	p.Mount()
	tt := newTerminal(p, "verify", p.Point)
	require.Zero(t, tt.ends(), tt.text())
	require.Eventually(t, func() bool { return strings.Contains(tt.text(), "verified: 3 files") }, bounded, 10*time.Millisecond, tt.text())
	require.Regexp(t, `verifying, \d of 3 files +\d+% \|`, tt.text())
}

func TestNamesDoNothingToATerminal(t *testing.T) {
	const name, harmless = "a\x1b[2Jb", "a?[2Jb"
	p, account := program.WithAccount(t, megatest.Named(name))
	file := account.PutFile(account.Root(), name, []byte("text"), time.Now())
	p.Login()
	p.Mount()
	require.Equal(t, []string{p.Point, filepath.Join(p.Point, name)}, strings.Split(strings.TrimSpace(p.Run("find", p.Point)), "\n"),
		"programs get names as they are")
	shows := func(args ...string) {
		tt := newTerminal(p, args...)
		tt.ends()
		require.Eventually(t, func() bool { return strings.Contains(tt.text(), harmless) }, bounded, 10*time.Millisecond, args)
		require.NotContains(t, tt.text(), "\x1b[2J", args)
	}
	shows("find", p.Point)
	shows("whoami")
	shows("versions", filepath.Join(p.Point, "no "+name))
	account.Trash(file)
	require.Eventually(t, func() bool { return strings.Contains(p.Run("bin", "list"), harmless) }, bounded, 10*time.Millisecond)
	shows("bin", "restore", name)
}
