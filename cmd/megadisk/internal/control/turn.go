package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Turn belongs to who is starting an account's process. Of two mounts that begin at the same moment, as they do at boot,
// each would else start one, and the second would find the state open.
type Turn struct {
	file *os.File
}

// AwaitTurn returns when nobody else is starting the process that answers at a socket. What dies lets go of its turn.
func AwaitTurn(ctx context.Context, socket string) (*Turn, error) {
	f, err := os.OpenFile(strings.TrimSuffix(socket, ".sock")+".turn", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("waiting for other mounts to start: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return &Turn{f}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("waiting for other mounts to start: %w", err)
		}
		select {
		case <-time.After(pollStep):
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}

// End lets the next one start; no harm if that was said before, or there is no turn. Closing alone would leave it with a
// program that is just being started, which has our files until its exec.
func (t *Turn) End() {
	if t != nil {
		_ = unix.Flock(int(t.file.Fd()), unix.LOCK_UN) // it is closed
		t.file.Close()
	}
}
