package writeback

import (
	"context"
	"sync"
	"time"
)

// streamState is what the event loop tells the others, and they it.
type streamState struct {
	kick chan struct{} // the stream is asked at once
	keys chan struct{} // what is missing of others' shares is to be looked for
	soon chan struct{} // a rest after trouble ends at once

	mu      sync.Mutex
	current time.Time     // GUARDED_BY(mu): when a question was asked after which nothing was new, or a full fetch begun
	refetch bool          // GUARDED_BY(mu): a full fetch is wanted
	fetches int           // GUARDED_BY(mu): full fetches that were applied
	behind  time.Time     // GUARDED_BY(mu): since when there is, or may be, news that isn't applied; zero: there is none
	refused bool          // GUARDED_BY(mu): the state here didn't take what came last
	changed chan struct{} // GUARDED_BY(mu): closed and renewed at each change
}

func (s *streamState) init() {
	s.kick = make(chan struct{}, 1)
	s.keys = make(chan struct{}, 1)
	s.soon = make(chan struct{}, 1)
	s.changed = make(chan struct{})
}

// ask makes the event loop ask the server at once.
func (s *streamState) ask() { poke(s.kick) }

func (s *streamState) wantKeys() { poke(s.keys) }

// retry ends a rest after trouble.
func (s *streamState) retry() { poke(s.soon) }

// rest waits after trouble; false if ctx ended first.
func (s *streamState) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-s.soon:
	}
	return true
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (s *streamState) wantFetch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refetch = true
}

func (s *streamState) fetchWanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refetch
}

// sawIdle: everything up to a moment has been applied.
func (s *streamState) sawIdle(asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked.After(s.current) {
		s.current = asked
	}
	s.behind = time.Time{}
	close(s.changed)
	s.changed = make(chan struct{})
}

// fellBehind: there is, or may be, news since a moment.
func (s *streamState) fellBehind(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind.IsZero() {
		s.behind = since
	}
}

// behindSince is the moment of the oldest news that isn't applied; zero: there is none.
func (s *streamState) behindSince() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind
}

// setRefused notes whether the state here took what came; was tells whether it did not the time before.
func (s *streamState) setRefused(refused bool) (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, s.refused = s.refused, refused
	return was
}

func (s *streamState) isRefused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// fetched: a full fetch begun at a moment was applied.
func (s *streamState) fetched(begun time.Time) {
	s.mu.Lock()
	s.refetch = false
	s.fetches++
	s.mu.Unlock()
	s.sawIdle(begun)
}

// countFetches tells how many full fetches were applied.
func (s *streamState) countFetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// waitCurrent waits until everything up to a moment has been applied; false:
// ctx ended first.
func (s *streamState) waitCurrent(ctx context.Context, since time.Time) bool {
	for {
		s.mu.Lock()
		ok, changed := s.current.After(since), s.changed
		s.mu.Unlock()
		if ok {
			return true
		}
		s.ask()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
