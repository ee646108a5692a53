package systemd

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNotify(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "s"), "@megadisk-test-" + strconv.Itoa(os.Getpid())} {
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		require.NoError(t, err)
		defer l.Close()
		t.Setenv("NOTIFY_SOCKET", name)
		n := FromEnvironment()
		require.NotNil(t, n)
		require.Empty(t, os.Getenv("NOTIFY_SOCKET"), "children don't inherit it")
		n.Ready()
		n.Status("two\nlines")
		n.MoreTime(90 * time.Second)
		buf := make([]byte, 1000)
		for _, want := range []string{"READY=1", "STATUS=two lines", "EXTEND_TIMEOUT_USEC=90000000"} {
			k, err := l.Read(buf)
			require.NoError(t, err)
			require.Equal(t, want, string(buf[:k]))
		}
	}
	require.Nil(t, FromEnvironment())
	var none *Notifier
	none.Ready()
}

func TestWatchdog(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "30000000")
	require.Equal(t, 30*time.Second, Watchdog())
	t.Setenv("WATCHDOG_PID", "1")
	require.Zero(t, Watchdog())
}
