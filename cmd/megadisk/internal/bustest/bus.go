// Package bustest gives tests a D-Bus of their own.
package bustest

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
)

// New starts a bus and returns its address and a connection to it. Both end with the test.
func New(t *testing.T) (address string, conn *dbus.Conn) {
	t.Helper()
	needs.Programs(t, "dbus-daemon")
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address=1", "--address=unix:dir="+t.TempDir())
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	address = strings.TrimSpace(line)
	conn, err = dbus.Connect(address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return address, conn
}
