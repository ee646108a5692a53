package tree

import "sync"

// syncer lets callers that come while a sync is running share the next one.
type syncer struct {
	do func() error

	one sync.Mutex // held by the caller that syncs

	mu   sync.Mutex
	next *syncTurn // GUARDED_BY(mu): the turn that has not begun
}

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
		s.mu.Unlock()
		turn.err = s.do()
	})
	return turn.err
}
