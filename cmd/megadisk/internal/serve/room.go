package serve

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"megadisk/writeback"
)

// roomToStart is what opening the state may write: a few of the database's tables and logs of 16 MiB. They are
// memory maps, so without that room the process would die of SIGBUS in place of getting ENOSPC.
const roomToStart = 80 << 20

// FullError says that the disk of the state is too full to start on.
type FullError struct {
	Dir  string
	Free uint64
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the disk of %s has only %s free: free %s more and try again (nothing that is pending is lost)",
		e.Dir, humanize.IBytes(e.Free), humanize.IBytes(roomToStart-e.Free))
}

// enoughRoom refuses to open stores on a full disk, when the reserve isn't enough either.
func enoughRoom(dir string) error {
	free, err := free(dir)
	if err != nil || free >= roomToStart {
		return err
	}
	if gave, err := writeback.GiveReserve(dir); err != nil || gave {
		return errors.Join(err, enoughRoom(dir))
	}
	return &FullError{Dir: dir, Free: free}
}

func free(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("asking how full the disk of %s is: %w", dir, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}
