package paths

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"https://g.api.mega.co.nz": "g.api.mega.co.nz",
		"http://127.0.0.1:4001/":   "127.0.0.1_4001",
	} {
		got, err := Host(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{"", "g.api.mega.co.nz", "ftp://x", "http://", "::"} {
		_, err := Host(bad)
		require.Error(t, err, bad)
	}
}

func TestRootsFolders(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED, NOT RUN: only root has them")
	}
	for _, home := range []string{"", "/root", "/home/anna"} { // boot, a shell, sudo
		t.Setenv("HOME", home)
		t.Setenv("XDG_STATE_HOME", "")
		t.Setenv("XDG_CONFIG_HOME", "")
		t.Setenv("XDG_RUNTIME_DIR", "/run/user/0")
		require.Equal(t, "/var/lib/megadisk", New("", "").State)
		require.Equal(t, "/run/megadisk", New("", "").Runtime)
		require.Equal(t, "/etc/megadisk.toml", Config())
		require.Equal(t, "/elsewhere", New("/elsewhere", "").State)
	}
}

func TestAccountFoldersArePrivate(t *testing.T) {
	d := Dirs{State: filepath.Join(t.TempDir(), "s"), Cache: filepath.Join(t.TempDir(), "c"), Runtime: filepath.Join(t.TempDir(), "r")}
	state, cache, err := d.Account("host", "user")
	require.NoError(t, err)
	sock, err := d.Socket("host", "user")
	require.NoError(t, err)
	for _, dir := range []string{state, cache, filepath.Dir(sock)} {
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), dir)
	}
}
