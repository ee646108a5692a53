package writeback

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// spaceCheck remembers for a moment how full the disk of the state is.
type spaceCheck struct {
	mu    sync.Mutex
	asked time.Time // GUARDED_BY(mu)
	full  bool      // GUARDED_BY(mu)
}

// spaceMemory is how long an answer holds; a write is at most 1 MiB.
const spaceMemory = 50 * time.Millisecond

// room gives ErrNoSpace while the disk is too full to take more. Only what
// grows the state asks; what empties it goes on.
func (e *Engine) room() error {
	if e.opts.MinFree < 0 {
		return nil
	}
	s := &e.space
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := e.now(); now.Sub(s.asked) > spaceMemory {
		var st unix.Statfs_t
		if err := unix.Statfs(e.opts.Dir, &st); err == nil {
			s.full = int64(st.Bavail)*st.Bsize < e.opts.MinFree
		}
		s.asked = now
	}
	if s.full {
		return ErrNoSpace
	}
	return nil
}
