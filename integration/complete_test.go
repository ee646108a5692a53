package integration

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

const bashCompletion = "/usr/share/bash-completion/bash_completion"

// shellAt starts a shell that knows the completion of the program.
func shellAt(t *testing.T, of *program.Program, begin string, line ...string) *terminal {
	t.Helper()
	p := *of
	p.T = t
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = p.Point
	cmd.Env = append(p.Env, "PATH="+filepath.Dir(p.Bin)+":"+os.Getenv("PATH"), "HOME="+p.Dir, "TERM=dumb", "PS1=> ", "COLUMNS=200")
	tt := terminalOf(&p, cmd)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	prompt := func(after string) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, rest, found := strings.Cut(tt.text(), after)
			return found && strings.Contains(rest, "> ")
		}, bounded, 10*time.Millisecond, "there is no prompt after %q", after)
	}
	prompt("")
	_, err := io.WriteString(tt.master, begin+"; echo rea''dy\n")
	require.NoError(t, err)
	prompt("ready")
	return tt
}

// tab types a line and the Tab key, waits until the line has become another, and deletes it.
func (tt *terminal) tab(typed, becomes string) {
	tt.t.Helper()
	from := len(tt.text())
	_, err := io.WriteString(tt.master, typed+"\t")
	require.NoError(tt.t, err)
	require.Eventually(tt.t, func() bool { return strings.Contains(tt.text()[from:], becomes) }, bounded, 10*time.Millisecond,
		"%q and Tab should become %q", typed, becomes)
	_, err = io.WriteString(tt.master, "\x15") // Ctrl-U
	require.NoError(tt.t, err)
}

// TestCompletionInShells: a person types and presses Tab.
func TestCompletionInShells(t *testing.T) {
	p, account := mountedProgram(t)
	account.Mkdir(account.Mkdir(account.Root(), "Photos"), "2026")
	await(t, p, "Photos/2026")
	p.Shell("echo one >note.txt; megadisk() { " + p.Bin + " \"$@\"; }; megadisk flush; echo two >note.txt; megadisk flush")
	saved := readJSON[[]struct{ Time string }](t, p.Run("versions", "--json", filepath.Join(p.Point, "note.txt")))
	require.Len(t, saved, 1)
	version := "note.txt@" + saved[0].Time
	year := strings.SplitAfter(version, "-")[0]

	lines := func(t *testing.T, tt *terminal) {
		tt.tab("megadisk restore "+year, version)
		tt.tab("megadisk restore note.txt@", version)
		tt.tab("megadisk unmount "+p.Dir[:len(p.Dir)-2], p.Point)
		tt.tab("megadisk mount /Ph", "/Photos/")
		tt.tab("megadisk mount "+program.Email+":/Photos/", program.Email+":/Photos/2026/")
		tt.tab("megadisk find --ty", "--type")
	}
	t.Run("bash", func(t *testing.T) {
		needs.Programs(t, "bash")
		needs.File(t, bashCompletion)
		lines(t, shellAt(t, p, `. `+bashCompletion+`; eval "$(megadisk completion bash)"`, "bash", "--norc", "--noprofile", "-i"))
	})
	t.Run("zsh", func(t *testing.T) {
		needs.Programs(t, "zsh")
		lines(t, shellAt(t, p, `unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; eval "$(megadisk completion zsh)"`, "zsh", "-f", "-i"))
	})
	t.Run("fish", func(t *testing.T) {
		needs.Programs(t, "fish")
		for typed, becomes := range map[string]string{
			"restore note.txt@": version, "unmount ": p.Point, "mount /Ph": "/Photos/", "find --ty": "--type",
			"mount " + program.Email + ":/Photos/": program.Email + ":/Photos/2026/", "find --log-level w": "warn",
		} {
			cmd := exec.Command("fish", "--no-config", "-c", `megadisk completion fish | source; complete -C "megadisk $argv"`, "--", typed)
			cmd.Dir = p.Point
			cmd.Env = append(p.Env, "PATH="+filepath.Dir(p.Bin)+":"+os.Getenv("PATH"), "HOME="+p.Dir)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), becomes, typed)
		}
	})
}
