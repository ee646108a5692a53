package account

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockFile is what two processes that change a list, or an account's session, at the same moment take in turn.
const lockFile = "accounts.lock"

// alone reads and writes a list, or a session, while no other process does: of two logins at once, each would else write the
// list that it read, and the other one's account would be missing in it.
func (st Store) alone(change func() error) error {
	f, err := os.OpenFile(filepath.Join(st.Dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("locking the list of accounts: %w", err)
	}
	defer f.Close()
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return fmt.Errorf("locking the list of accounts: %w", err)
	}
	return change()
}
