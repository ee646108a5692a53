package megaclient

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// defaultSilence is after how long without any sign of the other side a connection counts as broken.
const defaultSilence = 25 * time.Second

// newDialer makes connections that notice when the other side is gone without a word: the network drops packets, or
// changed under us. TCP sees to that, on two sides: what was sent and isn't acknowledged for so long breaks the
// connection, and one on which nothing is sent, as while waiting for events, is probed. No request is made for it.
func newDialer(silence time.Duration) *net.Dialer {
	if silence <= 0 {
		silence = defaultSilence
	}
	probe := max(silence/5, time.Second) // the system counts in seconds
	return &net.Dialer{
		Timeout: min(connectTimeout, silence),
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: max(silence-3*probe, time.Second), Interval: probe, Count: 3,
		},
		Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				// Where it can't be set, requests fail by their own limits.
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
			})
		},
	}
}
