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
