package megatest

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
)

// Stats counts what a server was asked. All numbers only grow, except those of the moment: Waiting,
// Held and OpenConnections.
type Stats struct {
	Batches   int            // cs requests that were executed or replayed
	Replayed  int            // of these, answered from memory
	Commands  map[string]int // commands that came, by name, before they ran (or were held)
	Done      map[string]int // commands that ran, by name, whatever their result
	Failed    map[string]int // of these, with an error
	Faults    int            // faults that hit a request
	Hashcash  int            // challenges that were solved
	Polls     int            // sc requests
	Probes    int            // questions whether the server is busy (wlt)
	Waiting   int            // wait URLs open now
	Held      int            // commands, batches and pieces of uploads held now
	Pieces    int            // upload pieces accepted
	Downloads int            // download requests answered with content
	Parts     [raidParts]int // of these, for each part of spread files (see RAID)
	BytesUp   int64          // content bytes received
	BytesDown int64          // content bytes sent

	Connections     int // TCP connections accepted
	OpenConnections int
}

// counters holds a server's Stats and wakes Await.
type counters struct {
	mu      sync.Mutex
	stats   Stats                                     // GUARDED_BY(mu)
	changed chan struct{}                             // GUARDED_BY(mu)
	watch   []func(name string, body json.RawMessage) // GUARDED_BY(mu)
}

func newCounters() *counters {
	return &counters{
		stats:   Stats{Commands: map[string]int{}, Done: map[string]int{}, Failed: map[string]int{}},
		changed: make(chan struct{}),
	}
}

// count changes the numbers.
func (c *counters) count(fn func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(&c.stats)
	close(c.changed)
	c.changed = make(chan struct{})
}

// get copies the numbers; changed is closed at their next change.
func (c *counters) get() (st Stats, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st = c.stats
	st.Commands = maps.Clone(st.Commands)
	st.Done = maps.Clone(st.Done)
	st.Failed = maps.Clone(st.Failed)
	return st, c.changed
}

// Stats returns the numbers of now.
func (s *Server) Stats() Stats {
	st, _ := s.stats.get()
	return st
}

// OnCommand calls fn with every command that comes over the network, before it is held, failed or executed,
// on the goroutine of its request. body is the command's JSON object. It can't be taken back.
func (s *Server) OnCommand(fn func(name string, body json.RawMessage)) {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	s.stats.watch = append(s.stats.watch[:len(s.stats.watch):len(s.stats.watch)], fn)
}

// Await returns when cond is true of the server's numbers, with ctx's error if that ends first. cond is
// asked at every change; it may ask the server itself for more.
func (s *Server) Await(ctx context.Context, cond func(Stats) bool) error {
	for {
		st, changed := s.stats.get()
		if cond(st) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
