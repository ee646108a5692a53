package desktop

import (
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"megadisk/cmd/megadisk/internal/bustest"
)

// daemon stands for the desktop's.
type daemon struct{ shown chan string }

func (d daemon) Notify(_ string, _ uint32, _, title, text string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	d.shown <- title + ": " + text
	return 1, nil
}

func TestMessageOnTheDesktop(t *testing.T) {
	address, conn := bustest.New(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	require.False(t, Show("title", "nobody shows it"))

	d := daemon{make(chan string, 1)}
	require.NoError(t, conn.Export(d, "/org/freedesktop/Notifications", "org.freedesktop.Notifications"))
	_, err := conn.RequestName("org.freedesktop.Notifications", dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	require.True(t, Show("megadisk", "the session has ended"))
	require.Equal(t, "megadisk: the session has ended", <-d.shown)
	require.True(t, Show("megadisk", "\xff & <img src=x>.txt was changed"))
	require.Equal(t, "megadisk: ? &amp; &lt;img src=x&gt;.txt was changed", <-d.shown)

	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	require.False(t, Show("title", "text"))
}
