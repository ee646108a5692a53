package megaclient

import (
	"context"
	"sync"
	"time"
)

// Limits of the connections that carry content, for each direction: where they begin, and what they are
// never beyond unless Config.MaxConnections says so.
const (
	defaultConnections = 8
	mostConnections    = 16
)

// climber looks for the number of connections beyond which more don't help. It is told the
// throughput of each window of time and knows no clock. It climbs in steps of several connections, and
// goes back, to try half of it, when one has brought nothing.
type climber struct {
	limit, ceiling int
	step           int     // the next raise
	raised         int     // by how much the limit was raised for this window
	before         float64 // throughput before that
	hold           int     // windows until the next attempt
}

const (
	climbStep    = 4               // the first raise
	climbGain    = 1.05            // a raise must bring so much
	climbHold    = 60              // windows without an attempt after a single connection more has brought nothing
	troubleHold  = 20              // and after trouble
	troublePause = 2 * time.Second // failures of parallel connections within it count as one
)

// newClimber begins with the usual number, or with the most that are allowed if these are fewer.
func newClimber(most int) climber {
	return climber{limit: min(most, defaultConnections), ceiling: most, step: climbStep}
}

// window takes the throughput of a window, in bytes a second, and whether somebody waited for a
// connection in it.
func (k *climber) window(rate float64, wanted bool) {
	if k.raised > 0 {
		if rate < k.before*climbGain {
			k.limit = max(1, k.limit-k.raised)
			if k.step = max(1, k.raised/2); k.raised == 1 {
				k.hold = climbHold
			}
		}
		k.raised = 0
	}
	if k.hold > 0 {
		k.hold--
		return
	}
	if wanted && k.limit < k.ceiling {
		k.before, k.raised = rate, min(k.step, k.ceiling-k.limit)
		k.limit += k.raised
	}
}

// trouble halves the limit: the server said that there is too much, or went silent.
func (k *climber) trouble() {
	k.limit, k.raised, k.step, k.hold = max(1, k.limit/2), 0, 1, troubleHold
}

// gate lets a limited number of connections of one direction through, in the order of asking, and
// adapts the limit.
type gate struct {
	period time.Duration // of a window

	mu      sync.Mutex
	climb   climber         // GUARDED_BY(mu)
	inUse   int             // GUARDED_BY(mu)
	waiting []chan struct{} // GUARDED_BY(mu): closed when it is one's turn
	wanted  bool            // GUARDED_BY(mu): somebody waited in this window
	bytes   int64           // GUARDED_BY(mu): moved in this window
	since   time.Time       // GUARDED_BY(mu): when this window began
	worried time.Time       // GUARDED_BY(mu): when there last was trouble
}

func newGate(connections int, window time.Duration) *gate {
	return &gate{period: window, climb: newClimber(connections), since: time.Now()}
}

// enter waits for a connection; leave must follow it.
func (g *gate) enter(ctx context.Context) error {
	turn, err := g.queue(ctx)
	if err != nil {
		return err
	}
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		g.withdraw(turn)
		return context.Cause(ctx)
	}
}

// queue asks for a connection: it is one's own when the channel is closed. Then leave must follow,
// or withdraw, which may also come before.
func (g *gate) queue(ctx context.Context) (turn chan struct{}, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	turn = make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.admitLocked()
	g.wanted = g.wanted || len(g.waiting) > 0
	return turn, nil
}

// withdraw takes a waiter out of the queue, or gives back the connection that it just got.
func (g *gate) withdraw(turn chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting {
		if w == turn {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return
		}
	}
	g.inUse--
	g.admitLocked()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inUse--
	g.admitLocked()
}

func (g *gate) admitLocked() {
	for len(g.waiting) > 0 && g.inUse < g.climb.limit {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
		g.inUse++
	}
}

// moved counts bytes that got through, and ends the window when it is time.
func (g *gate) moved(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bytes += int64(n)
	elapsed := time.Since(g.since)
	if elapsed < g.period {
		return
	}
	g.climb.window(float64(g.bytes)/elapsed.Seconds(), g.wanted || len(g.waiting) > 0)
	g.bytes, g.wanted, g.since = 0, false, time.Now()
	g.admitLocked()
}

// trouble lowers the limit. Connections that are open stay so.
func (g *gate) trouble() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); now.Sub(g.worried) >= troublePause {
		g.worried = now
		g.climb.trouble()
	}
}

// width gives the limit of now.
func (g *gate) width() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.climb.limit
}
