package serve

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// roomToStart is what opening the state may write: a few of the database's tables and logs of 16 MiB. They are
// sparse memory maps, so without that room the process would die of SIGBUS in place of getting ENOSPC.
const roomToStart = 64 << 20

// FullError says that the disk of the state is too full to start on.
type FullError struct {
	Dir  string
	Free uint64
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the disk of %s has only %s free: free %s more and try again (nothing that is pending is lost)",
		e.Dir, humanize.IBytes(e.Free), humanize.IBytes(roomToStart-e.Free))
}

// enoughRoom refuses to open stores on a full disk.
func enoughRoom(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("asking how full the disk of %s is: %w", dir, err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < roomToStart {
		return &FullError{Dir: dir, Free: free}
	}
	return nil
}
