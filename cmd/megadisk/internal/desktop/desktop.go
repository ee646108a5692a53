// Package desktop shows short messages on the user's desktop, where there is one.
package desktop

import (
	"fmt"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
)

// plain takes from a text what desktops read as markup: the names of files are whatever somebody gave them.
var plain = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Show shows a message; bytes that are no UTF-8, which the bus doesn't carry, as a question mark. It returns false when
// there is no desktop to show it on.
func Show(title, text string) bool {
	address := busAddress()
	if address == "" {
		return false
	}
	bus, err := dbus.Connect(address)
	if err != nil {
		return false
	}
	defer bus.Close()
	var id uint32
	err = bus.Object("org.freedesktop.Notifications", "/org/freedesktop/Notifications").Call(
		"org.freedesktop.Notifications.Notify", 0, "megadisk", uint32(0), "drive-harddisk", title, plain.Replace(strings.ToValidUTF8(text, "?")),
		[]string{}, map[string]dbus.Variant{}, int32(-1)).Store(&id)
	return err == nil
}

// busAddress is that of the bus of the user's session. None is started: who has no desktop needs none.
func busAddress() string {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		return address
	}
	path := fmt.Sprintf("/run/user/%d/bus", os.Getuid())
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return "unix:path=" + path
}
