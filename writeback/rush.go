package writeback

import (
	"sync"
	"time"
)

// rush tells whether programs make many changes just now: somebody unpacks an
// archive, clones a repository, builds. Uploads then stand back, so that the
// program has the processor and the disk to itself; what it makes and removes
// again within those seconds is never sent, and the rest shares its requests.
type rush struct {
	mu     sync.Mutex
	begin  time.Time // GUARDED_BY(mu): of the current window
	count  int       // GUARDED_BY(mu): changes in it
	before int       // GUARDED_BY(mu): changes in the window before
}

const (
	rushWindow = 250 * time.Millisecond
	rushCount  = 25 // changes in a window
)

// note counts a change.
func (r *rush) note(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moveLocked(now)
	r.count++
}

// on tells whether it is on. It ends within two windows after the last change.
func (r *rush) on(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moveLocked(now)
	return max(r.count, r.before) >= rushCount
}

func (r *rush) moveLocked(now time.Time) {
	switch age := now.Sub(r.begin); {
	case age < 0 || age >= 2*rushWindow:
		r.begin, r.count, r.before = now, 0, 0
	case age >= rushWindow:
		r.begin, r.count, r.before = r.begin.Add(rushWindow), 0, r.count
	}
}

// standBack gives the time until which uploads wait for programs that make many
// changes; the zero time if they don't. The oldest of them waits as long as any
// change may rest, and not at all if somebody asked for it. Nor do they wait
// while a program waits for the room that they make.
func (p *planner) standBack(s *survey) time.Time {
	if !p.e.rush.on(s.now) || p.e.waiting.Load() > 0 {
		return time.Time{}
	}
	until := s.now.Add(rushWindow)
	for _, list := range []*readyList{&p.small, &p.large} {
		ino, ok := list.first(p.seen)
		if !ok {
			continue
		}
		d, _ := s.dirty(ino)
		if limit := time.Unix(0, d.entry.Since).Add(p.e.times.SettleMax); d.asked != 0 || limit.Before(s.now) {
			return time.Time{}
		}
	}
	return until
}
