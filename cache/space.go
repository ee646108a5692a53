package cache

import (
	"time"

	"golang.org/x/sys/unix"
)

// Free space is looked at this often, in time and in bytes written.
const (
	lookEvery = time.Second
	lookBytes = 16 << 20
)

// spacious tells whether the disk has n bytes above the floor, after eviction if need be.
func (s *store) spacious(n int64) bool {
	now := time.Now()
	s.mu.Lock()
	s.since += n
	due := now.Sub(s.looked) >= lookEvery || s.since >= lookBytes
	if due {
		s.looked, s.since = now, 0
	}
	paused := s.paused
	s.mu.Unlock()
	if !due {
		return !paused
	}
	free, ok := s.free()
	if !ok {
		return false
	}
	if want := s.floor + s.margin - free; want > 0 {
		s.freeBytes(want)
		if free, ok = s.free(); !ok {
			return false
		}
	}
	s.setPaused(free < s.floor+n)
	return free >= s.floor+n
}

// GiveWay frees what the cache holds on a disk with less than need bytes free: other stores go first.
func (c *Cache) GiveWay(need int64) {
	s := c.store
	if s == nil || !s.on() {
		return
	}
	if free, ok := s.free(); ok && free < need {
		s.freeBytes(need - free + s.margin)
	}
}

// free asks the disk. A folder that is gone ends the disk level.
func (s *store) free() (int64, bool) {
	var fs unix.Statfs_t
	if err := unix.Statfs(s.dir, &fs); err != nil {
		s.failed(err)
		return 0, false
	}
	return int64(fs.Bavail) * fs.Bsize, true
}

// setPaused stops or resumes storing. It is said once, however often a disk fills up.
func (s *store) setPaused(now bool) {
	s.mu.Lock()
	tell := now && !s.told
	s.told = s.told || now
	s.paused = now
	s.mu.Unlock()
	if tell {
		s.log.Warn("the disk of the cache folder is full: nothing more is kept on it until there is room")
	}
}
