package cache

import (
	"golang.org/x/sys/unix"
)

// forget makes all units absent at once; the file follows with scrub, before it is used again.
func (e *entry) forget() {
	if e == nil {
		return
	}
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	e.gen++
	e.stale = true
	e.s.dropSpansLocked(e)
	clear(e.present)
	e.count = 0
}

// scrub empties the file after forget.
func (e *entry) scrub() {
	if e == nil {
		return
	}
	e.s.mu.Lock()
	stale := e.stale
	e.s.mu.Unlock()
	if stale {
		if err := e.empty(); err != nil {
			e.s.failed(err)
		}
	}
}

func (e *entry) empty() error {
	e.io.Lock()
	defer e.io.Unlock()
	e.s.mu.Lock()
	stale := e.stale
	e.stale = false
	e.s.mu.Unlock()
	if !stale || e.f == nil {
		return nil
	}
	return e.emptyLocked()
}

// emptyLocked cuts the file down and up again, which frees all of it.
func (e *entry) emptyLocked() error {
	if err := e.f.Truncate(0); err != nil {
		return err
	}
	if err := e.f.Truncate(e.l.fileSize()); err != nil {
		return err
	}
	return e.writeHeaderLocked()
}

// punch frees the bytes of units [first, end), records first. The exclusive io is held.
func (e *entry) punchLocked(first, end int64) error {
	if e.f == nil {
		return nil
	}
	zeros := make([]byte, (end-first)*unitRecord)
	if _, err := e.f.WriteAt(zeros, e.l.unit(first)); err != nil {
		return err
	}
	off := first * UnitSize
	n := min(end*UnitSize, e.l.header()) - off
	return unix.Fallocate(int(e.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}
