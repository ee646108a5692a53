// Package systemd tells the service manager how the program is (sd_notify(3)): ready, busy with what, alive, stopping.
package systemd

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notifier speaks to the service manager that started the program. A nil one says nothing.
type Notifier struct {
	conn *net.UnixConn
}

// FromEnvironment gives the notifier of $NOTIFY_SOCKET, nil without one. What the program starts in its turn doesn't
// inherit it.
func FromEnvironment() *Notifier {
	name := os.Getenv("NOTIFY_SOCKET")
	_ = os.Unsetenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if name[0] == '@' { // an abstract address
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil
	}
	return &Notifier{conn: conn}
}

// Ready says that the program serves.
func (n *Notifier) Ready() { n.send("READY=1") }

// Status says in a few words what the program does.
func (n *Notifier) Status(text string) {
	n.send("STATUS=" + strings.ReplaceAll(text, "\n", " "))
}

// Alive says that all is well, for the watchdog.
func (n *Notifier) Alive() { n.send("WATCHDOG=1") }

// Stopping says that the program is about to end.
func (n *Notifier) Stopping() { n.send("STOPPING=1") }

// MoreTime asks the manager to wait so long from now before it kills.
func (n *Notifier) MoreTime(d time.Duration) { n.send("EXTEND_TIMEOUT_USEC=" + microseconds(d)) }

func microseconds(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }

func (n *Notifier) send(lines ...string) {
	if n != nil {
		_, _ = n.conn.Write([]byte(strings.Join(lines, "\n"))) // nobody to tell that nobody listens
	}
}

// Watchdog is how often Alive must be said at the least; 0: never.
func Watchdog() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}
