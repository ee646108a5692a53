package writeback

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The disk of the state may be filled by other programs. Then whatever grows
// the state gets ENOSPC while there is still room; what was acknowledged stays,
// and what empties the disk (removals, renames, uploads and their answers) goes
// on. For that there is a reserve: a file of blocks that other programs can't
// have, given to the database when it must have room (a full memtable becomes
// a table, a start, an end) and the disk has none.

const (
	reserveFile    = "reserve"
	defaultReserve = 96 << 20
)

// spaceKeeper watches the disk of the state.
type spaceKeeper struct {
	mu    sync.Mutex
	asked time.Time // GUARDED_BY(mu)
	full  bool      // GUARDED_BY(mu)

	reserveMu sync.Mutex // held while the reserve is made or given away
}

// spaceMemory is how long an answer holds; a write is at most 1 MiB.
const spaceMemory = 50 * time.Millisecond

// freeSpace is what programs may have of dir's disk.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// room gives ErrNoSpace while the disk is too full to take more. Only what
// grows the state asks; what empties it goes on.
func (e *Engine) room() error {
	if e.tree.Poor() {
		return ErrNoSpace
	}
	if e.opts.MinFree < 0 {
		return nil
	}
	s := &e.space
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := e.now(); now.Sub(s.asked) > spaceMemory {
		s.full = e.isFull()
		s.asked = now
	}
	if s.full {
		return ErrNoSpace
	}
	return nil
}

// isFull asks the disk; the block cache gives way first.
func (e *Engine) isFull() bool {
	floor := e.opts.MinFree
	if _, err := os.Stat(filepath.Join(e.opts.Dir, reserveFile)); err != nil {
		floor += max(e.opts.Reserve, 0) // it was given away, for what empties the disk and not for what fills it
	}
	free, err := freeSpace(e.opts.Dir)
	if err == nil && free < floor {
		e.cache.GiveWay(floor)
		free, err = freeSpace(e.opts.Dir)
	}
	return err == nil && free < floor
}

// makeRoom gives the reserve away if the disk has less than need: the
// database can't be told that there is no room, it would die.
func (e *Engine) makeRoom(need int64) {
	e.space.reserveMu.Lock()
	defer e.space.reserveMu.Unlock()
	free, err := freeSpace(e.opts.Dir)
	if err != nil || free >= need {
		return
	}
	if e.cache != nil {
		e.cache.GiveWay(need)
	}
	if free, err = freeSpace(e.opts.Dir); err == nil && free < need {
		if gave, err := GiveReserve(e.opts.Dir); err == nil && gave {
			e.log.Warn("the disk of the state is full: the reserve is used")
		}
	}
}

// GiveReserve gives the reserve in a state folder back to the disk: a start
// needs it where there is no other room. The running engine makes a new one
// when it can.
func GiveReserve(dir string) (gave bool, err error) {
	err = os.Remove(filepath.Join(dir, reserveFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// keepReserve makes the reserve if it isn't there and there is room for it
// beside what the database may need.
func (e *Engine) keepReserve() {
	size := e.opts.Reserve
	if size < 0 {
		return
	}
	e.space.reserveMu.Lock()
	defer e.space.reserveMu.Unlock()
	path := filepath.Join(e.opts.Dir, reserveFile)
	info, err := os.Stat(path)
	if err == nil && info.Size() >= size {
		return
	}
	if free, err := freeSpace(e.opts.Dir); err != nil || free < size+size/2 {
		return
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		_ = os.Remove(path) // half a reserve is none; the next time comes soon
	}
}
