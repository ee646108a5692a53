package metrics

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The socket is for its user alone; what a process that died left there is replaced, and nothing else.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics")
	for range 2 {
		stop, err := New().Serve("unix:" + path)
		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.ModeSocket|0o600, info.Mode())
		stop()
		left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		require.NoError(t, err)
		left.SetUnlinkOnClose(false)
		left.Close()
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o644))
	_, err := New().Serve("unix:" + file)
	require.Error(t, err)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "precious", string(data))
}

// The socket of a program that lives, of whatever kind, isn't taken from it.
func TestSocketOfAnother(t *testing.T) {
	dir := t.TempDir()
	stream, err := net.Listen("unix", filepath.Join(dir, "stream"))
	require.NoError(t, err)
	defer stream.Close()
	datagram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "datagram"), Net: "unixgram"})
	require.NoError(t, err)
	defer datagram.Close()
	for _, path := range []string{stream.Addr().String(), datagram.LocalAddr().String()} {
		before, err := os.Lstat(path)
		require.NoError(t, err)
		_, err = New().Serve("unix:" + path)
		require.Error(t, err)
		now, err := os.Lstat(path)
		require.NoError(t, err)
		require.True(t, os.SameFile(before, now))
	}
}

func TestAddress(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	t.Chdir(dir)
	for text, want := range map[string]string{
		"unix:rel": "unix:" + dir + "/rel", "unix:/a/b": "unix:/a/b", "/a/b": "unix:/a/b",
		"127.0.0.1:9190": "127.0.0.1:9190", ":0": ":0", "[::1]:9190": "[::1]:9190",
	} {
		got, err := Address(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{"", "unix:", "nonsense", "rel", "127.0.0.1", "127.0.0.1:99999"} {
		_, err := Address(bad)
		require.ErrorContains(t, err, "is no address", bad)
	}
}
