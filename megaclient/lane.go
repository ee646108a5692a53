package megaclient

import (
	"context"
	"math/rand/v2"
	"sync"
)

// laneID names a queue to the command server. What changes something goes through laneCommand, one
// request at a time; the other lanes keep slow and quick reads out of each other's way (PROTOCOL 1.2).
type laneID int

const (
	laneCommand laneID = iota // changes, and reads that must see them
	laneURL                   // download and upload URLs
	laneRead                  // short questions that change nothing
	laneFetch                 // the full fetch, which takes minutes
	laneCount
)

// laneWidths has the number of requests that each lane lets out at a time.
var laneWidths = [laneCount]int{laneCommand: 1, laneURL: 4, laneRead: 2, laneFetch: 1}

// lane hands out request ids and limits the requests under way.
type lane struct {
	slots chan struct{}

	mu sync.Mutex
	id [10]byte // GUARDED_BY(mu): last id, lower-case letters; counted up like a number
}

func newLane(width int) *lane {
	l := &lane{slots: make(chan struct{}, width)}
	for i := range l.id {
		l.id[i] = byte('a' + rand.IntN(26))
	}
	return l
}

// nextID draws the id of a new request (PROTOCOL 1.2): no two requests of a lane have the same.
func (l *lane) nextID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.id) - 1; i >= 0; i-- {
		if l.id[i] < 'z' {
			l.id[i]++
			break
		}
		l.id[i] = 'a'
	}
	return string(l.id[:])
}

// enter waits for a free slot; leave gives it back.
func (l *lane) enter(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *lane) leave() { <-l.slots }
