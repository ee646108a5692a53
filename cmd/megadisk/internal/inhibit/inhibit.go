// Package inhibit asks logind to hold shutdown and sleep while something is not yet in the cloud.
package inhibit

import (
	"cmp"
	"context"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
)

// usualPatience is how long bus and logind may take to answer: whoever asks has other things to do, and an end to come to.
const usualPatience = 3 * time.Second

// Lock is a hold on the machine's shutdown and sleep. The zero value is useful; it belongs to one goroutine.
type Lock struct {
	file     *os.File
	patience time.Duration // for tests; 0 means the usual one
}

// Set takes the hold, or lets go of it. Where there is no logind, or it refuses, nothing is held.
func (l *Lock) Set(hold bool) {
	if !hold && l.file != nil {
		l.file.Close()
		l.file = nil
	}
	if hold && l.file == nil {
		l.file = take(cmp.Or(l.patience, usualPatience))
	}
}

// Held tells whether the machine is held.
func (l *Lock) Held() bool { return l.file != nil }

// take asks for a hold without end, which some users may not have, or else for the few seconds that logind gives to
// all. The hold lasts as long as the file is open.
func take(patience time.Duration) *os.File {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil
	}
	defer bus.Close()
	logind := bus.Object("org.freedesktop.login1", "/org/freedesktop/login1")
	for _, mode := range []string{"block", "delay"} {
		var fd dbus.UnixFD
		err := logind.CallWithContext(ctx, "org.freedesktop.login1.Manager.Inhibit", 0, "shutdown:sleep", "megadisk",
			"Changes are not yet in the cloud", mode).Store(&fd)
		if err == nil {
			return os.NewFile(uintptr(fd), "inhibitor")
		}
	}
	return nil
}
