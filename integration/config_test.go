package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// configure makes a configuration file and lets the program use it.
func configure(t *testing.T, p *program.Program, text string) (path string) {
	t.Helper()
	path = filepath.Join(p.Dir, "config.toml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	p.Env = append(p.Env, "MEGADISK_CONFIG="+path)
	return path
}

func TestConfigSaysWhereValuesComeFrom(t *testing.T) {
	p, _ := program.WithAccount(t)
	path := configure(t, p, "# comment\numask = \"027\"\nlog_level = \"warn\"\ntimeout = \"30s\"\n")
	p.Env = append(p.Env, "MEGADISK_TIMEOUT=40s")
	var all []struct{ Name, Value, From string }
	require.NoError(t, json.Unmarshal([]byte(p.Run("config", "show", "--json", "--log-level", "error")), &all))
	got := map[string]string{}
	for _, s := range all {
		got[s.Name] = s.Value + " | " + s.From
	}
	require.Equal(t, "027 | "+path+":2", got["umask"])
	require.Equal(t, "40s | MEGADISK_TIMEOUT", got["timeout"])
	require.Equal(t, "error | command line", got["log-level"])
	require.Equal(t, "false | default", got["read-only"])

	text := p.Run("config", "show") // what it prints is a configuration file
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	require.Contains(t, p.Run("config", "show"), "# "+path+":")
}

func TestConfigMistakes(t *testing.T) {
	p, _ := program.WithAccount(t)
	p.Login()
	path := configure(t, p, "")
	for text, want := range map[string]string{
		"umask = \"022\"\nalow-other = true": path + ":2: there is no option \"alow-other\" (did you mean allow-other?)",
		"umask = \"9\"":                      path + ":1: umask is octal",
		"\nread-only = \"perhaps\"":          path + ":2: read-only:",
		"log-level = \"loud\"":               path + ":1: log-level is",
		"max-download = \"much\"":            path + ":1: max-download is",
		"[":                                  path + ":1:",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
		require.Contains(t, refused(t, p, 2, "", "mount", p.Point), want, text)
		require.Contains(t, refused(t, p, 2, "", "config", "show"), want, text)
	}
	require.Contains(t, p.Run("status"), "Nothing is mounted", "what only looks works all the same")
	require.Contains(t, refused(t, p, 2, "", "mount", p.Point, "--config", path+".none"), "no such file")
}

func TestConfigIsUsedAndReadAgain(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	account.PutFile(account.Root(), "f", nil, megatestTime)
	p.Login()
	path := configure(t, p, "umask = \"027\"\n")
	p.Mount()
	require.Equal(t, "640\n", p.Shell("stat -c %a f"))

	process, err := os.FindProcess(p.Statuses()[0].PID)
	require.NoError(t, err)
	awaitLog := func(word string) {
		t.Helper()
		require.Eventually(t, func() bool {
			text, _ := os.ReadFile(p.Logs()[0])
			return strings.Contains(string(text), word)
		}, bounded, 20*time.Millisecond, "no %q in the log", word)
	}
	require.NoError(t, os.WriteFile(path, []byte("log-format = \"json\"\n"), 0o644))
	require.NoError(t, process.Signal(syscall.SIGHUP))
	awaitLog(`"msg":"the configuration was read again"`)
	require.NoError(t, os.WriteFile(path, []byte("log-format = \"prose\"\n"), 0o644))
	require.NoError(t, process.Signal(syscall.SIGHUP))
	awaitLog(`"level":"error"`)
	p.Run("unmount", p.Point)
}
