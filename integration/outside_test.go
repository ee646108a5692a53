package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// Links in the cloud that point outside the mount, and folders of their names, lead no command of ours there: nothing is
// written to where they point, and nothing that lies there goes to the cloud.
func TestLinksThatPointOutside(t *testing.T) {
	p, account := mountedProgram(t)
	outside, down := mkdir(t, p, "outside"), mkdir(t, p, "down")
	secret := "what lies outside"
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte(secret), 0o600))
	all := account.Mkdir(account.Root(), "all")
	await(t, p, "all")
	folder := func(name string) {
		account.PutFile(account.Mkdir(all, name), "planted", []byte("planted"), megatestTime)
	}
	link := func(name string) { // a mount makes no two of one name; the cloud has them
		p.Shell("ln -s " + outside + " all/new-" + name)
		p.Run("flush")
		account.Rename(account.Find("all/new-"+name), name)
	}
	folder("one")
	link("one")
	link("two")
	folder("two")
	p.Shell("cd all && ln -s ../../outside up && ln -s " + outside + "/secret secret")
	p.Run("flush")
	for _, name := range []string{"..", ".", "../outside/planted", "/etc/planted", "one/planted", "a\x00b"} {
		account.PutFile(all, name, []byte("planted"), megatestTime)
	}
	top := await(t, p, "all")
	require.Eventually(t, func() bool { names, err := os.ReadDir(top); return err == nil && len(names) == 12 }, bounded, 10*time.Millisecond)
	nothing := func(what string) {
		t.Helper()
		names, err := os.ReadDir(outside)
		require.NoError(t, err)
		require.Len(t, names, 1, what)
		text, err := os.ReadFile(filepath.Join(outside, "secret"))
		require.NoError(t, err)
		require.Equal(t, secret, string(text), what)
		require.False(t, uploaded(account, secret), what)
	}

	for _, words := range [][]string{{"get", top, down}, {"get", account.Export(all), filepath.Join(down, "link")}, {"pin", top}, {"verify", top}, {"find", p.Point}, {"du", top}, {"unpin", top}} {
		p.Run(words...)
		nothing(strings.Join(words, " "))
	}
	target, err := os.Readlink(filepath.Join(down, "all", "up"))
	require.NoError(t, err)
	require.Equal(t, "../../outside", target, "a link is a link")
	for _, command := range []string{"pin", "verify", "versions", "free", "find"} {
		_, _, status := p.Try("", command, filepath.Join(top, "up", "secret"))
		require.NotZero(t, status, command)
	}
	p.Run("put", filepath.Join(down, "all"), filepath.Join(p.Point, "again"))
	nothing("put")
	require.Equal(t, "../../outside", strings.TrimSpace(p.Shell("readlink again/up")))

	p.Server.Faults().FailBatch("", -3, megatest.Always)
	p.Shell("ln -s " + outside + " pending && echo mine >planted")
	exported := filepath.Join(p.Dir, "exported")
	p.Run("export-pending", exported)
	nothing("export-pending")
	p.Server.Faults().Clear()
}

// uploaded tells whether a file in the cloud has that content.
func uploaded(account *megatest.Account, content string) bool {
	for _, e := range account.Tree() {
		if !e.Dir && string(account.ReadFile(e.Handle)) == content {
			return true
		}
	}
	return false
}
