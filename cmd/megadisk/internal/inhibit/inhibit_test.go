package inhibit

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"megadisk/cmd/megadisk/internal/bustest"
)

// logind answers as the real one does to a user who may not block.
type logind struct{ asked chan [4]string }

func (l logind) Inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	l.asked <- [4]string{what, who, why, mode}
	if mode == "block" {
		return 0, dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", nil)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	held <- r
	return dbus.UnixFD(w.Fd()), nil
}

var held = make(chan *os.File, 1)

func TestLogindHoldsTheMachine(t *testing.T) {
	address, conn := bustest.New(t)
	fake := logind{asked: make(chan [4]string, 4)}
	require.NoError(t, conn.Export(fake, "/org/freedesktop/login1", "org.freedesktop.login1.Manager"))
	_, err := conn.RequestName("org.freedesktop.login1", dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)

	l := Lock{patience: time.Minute}
	l.Set(true)
	l.Set(true) // it has it already
	require.True(t, l.Held())
	require.Equal(t, "block", (<-fake.asked)[3])
	require.Equal(t, [4]string{"shutdown:sleep", "megadisk", "Changes are not yet in the cloud", "delay"}, <-fake.asked)
	l.Set(false)
	require.False(t, l.Held())
	require.Empty(t, fake.asked)
	r := <-held
	r.Close()
}

// silent hears what it is asked, and doesn't answer.
type silent struct{ ended chan struct{} }

func (s silent) Inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	<-s.ended
	return 0, dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", nil)
}

// Neither a logind nor a bus that doesn't answer is waited for without end.
func TestNobodyAnswers(t *testing.T) {
	address, conn := bustest.New(t)
	fake := silent{make(chan struct{})}
	defer close(fake.ended)
	require.NoError(t, conn.Export(fake, "/org/freedesktop/login1", "org.freedesktop.login1.Manager"))
	_, err := conn.RequestName("org.freedesktop.login1", dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "bus")
	deaf, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer deaf.Close()
	for _, address := range []string{address, "unix:path=" + path} {
		t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
		l := Lock{patience: 50 * time.Millisecond}
		l.Set(true)
		require.False(t, l.Held())
	}
}

func TestWithoutLogind(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
	var l Lock
	l.Set(true)
	require.False(t, l.Held())
	l.Set(false)
}
