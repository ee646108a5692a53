package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

func TestDoctor(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	examine := func() (states, fixes map[string]string, exit int) {
		out, _, exit := p.Try("", "doctor", "--json")
		var checks []struct{ Name, State, Says, Fix string }
		require.NoError(t, json.Unmarshal([]byte(out), &checks), out)
		states, fixes = map[string]string{}, map[string]string{}
		for _, c := range checks {
			states[c.Name], fixes[c.Name] = c.State, c.Fix
		}
		return states, fixes, exit
	}
	states, fixes, exit := examine()
	require.Equal(t, 1, exit)
	require.Equal(t, "failure", states["session"])
	require.Contains(t, fixes["session"], "megadisk login")
	for _, well := range []string{"fuse", "server", "clock"} {
		require.Equal(t, "ok", states[well], well)
	}

	p.Login()
	states, _, _ = examine()
	require.Equal(t, "ok", states["session"])
	require.Equal(t, "ok", states["quota"])

	p.Mount()
	pid := p.Statuses()[0].PID
	proc, err := os.FindProcess(pid)
	require.NoError(t, err)
	require.NoError(t, proc.Kill())
	program.AwaitGone(t, pid)
	states, fixes, _ = examine()
	require.Equal(t, "failure", states["mounts"])
	require.Contains(t, fixes["mounts"], "megadisk unmount")
	p.Run("unmount", p.Point)

	account.EndSessions()
	states, fixes, _ = examine()
	require.Equal(t, "failure", states["session"])
	require.Contains(t, fixes["session"], "megadisk login "+program.Email)

	p.Server.Close()
	states, fixes, _ = examine()
	require.Equal(t, "failure", states["server"])
	require.Contains(t, fixes["server"], "network")
}

func TestDoctorsBundleNamesNobody(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	account.PutFile(account.Root(), "secret name.txt", []byte("x"), megatestTime)
	p.Login()
	p.Mount()
	p.Shell("echo text >'another secret.txt'; cat 'secret name.txt'")
	file := filepath.Join(p.Dir, "report.json")
	p.Try("", "doctor", "--bundle", file)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), `"checks"`)
	for _, secret := range []string{program.Email, "anna", "secret", p.Point} {
		require.NotContains(t, string(text), secret)
	}
	_, _, exit := p.Try("", "doctor", "--bundle", file)
	require.Equal(t, 1, exit, "nothing is overwritten")
	p.Run("unmount", p.Point)
}
