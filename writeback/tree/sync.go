package tree

import (
	"errors"
	"sync"
)

// syncer lets callers that come while a sync is running share the next one. After one that failed the kernel may have
// dropped what it was about, and call it clean, so that another one would say nothing: from then on all fail.
type syncer struct {
	do func() error

	one sync.Mutex // held by the caller that syncs

	mu   sync.Mutex
	next *syncTurn // GUARDED_BY(mu): the turn that has not begun
	lost error     // GUARDED_BY(mu): why what was committed may be lost with the power
}

// errDropped means that a sync itself has failed, and not only what it needs.
var errDropped = errors.New("the disk has not taken what was written")

// syncTurn is one sync and those who wait for it.
type syncTurn struct {
	once sync.Once
	err  error
}

func newSyncer(do func() error) *syncer { return &syncer{do: do, next: new(syncTurn)} }

// sync returns when a sync that began after the call has ended. Whoever of the waiting ones gets the
// lock first does it for all.
func (s *syncer) sync() error {
	s.mu.Lock()
	turn := s.next
	s.mu.Unlock()
	s.one.Lock()
	defer s.one.Unlock()
	turn.once.Do(func() {
		s.mu.Lock()
		s.next = new(syncTurn) // who comes from now on was not heard by this one
		turn.err = s.lost
		s.mu.Unlock()
		if turn.err == nil {
			turn.err = s.do()
		}
		if errors.Is(turn.err, errDropped) {
			s.mu.Lock()
			s.lost = turn.err
			s.mu.Unlock()
		}
	})
	return turn.err
}

func (s *syncer) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}
