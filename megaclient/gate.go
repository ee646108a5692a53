package megaclient

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// gate lets a limited number of connections of one direction through, and adapts the limit. Those that yield ([Yielding])
// come after the others, files by turns, and otherwise the order is that of asking: where connections are few, what is
// fetched ahead of one program, by the cache or by the kernel, doesn't keep another from its first bytes.
type gate struct {
	period time.Duration // of a window
	spare  int           // places that those who yield leave to the others

	mu      sync.Mutex
	climb   climber   // GUARDED_BY(mu)
	inUse   int       // GUARDED_BY(mu)
	waiting []waiter  // GUARDED_BY(mu)
	wanted  bool      // GUARDED_BY(mu): somebody waited in this window
	bytes   int64     // GUARDED_BY(mu): moved in this window
	since   time.Time // GUARDED_BY(mu): when this window began
	worried time.Time // GUARDED_BY(mu): when there last was trouble
}

// waiter is somebody in the queue of a gate.
type waiter struct {
	turn   chan struct{}   // closed when it is one's turn
	file   Handle          // "": none
	yields <-chan struct{} // others go first until this is closed; nil: none do
}

// urgent tells whether nobody is to go first who came later.
func (w waiter) urgent() bool {
	if w.yields == nil {
		return true
	}
	select {
	case <-w.yields:
		return true
	default:
		return false
	}
}

// after tells, by a 1, that the one whose turn it is was of the same file.
func (w waiter) after(next waiter) int {
	if w.file == next.file {
		return 1
	}
	return 0
}

// yielding marks the context of [Yielding].
type yielding struct{}

// Yielding gives a context with which [Client.ReadContent] lets others have a connection first, until need is closed: for
// bytes that nobody waits for yet.
func Yielding(ctx context.Context, need <-chan struct{}) context.Context {
	return context.WithValue(ctx, yielding{}, need)
}

// needOf gives what ends the yielding; nil: there is none.
func needOf(ctx context.Context) <-chan struct{} {
	need, _ := ctx.Value(yielding{}).(<-chan struct{})
	return need
}

func newGate(connections int, window time.Duration) *gate {
	return &gate{period: window, climb: newClimber(connections), since: time.Now()}
}

// enter waits for a connection for a file; leave must follow it.
func (g *gate) enter(ctx context.Context, file Handle) error {
	turn, err := g.queue(ctx, file)
	if err != nil {
		return err
	}
	need := needOf(ctx)
	for {
		select {
		case <-turn:
			return nil
		case <-need:
			need = nil
			g.admit() // perhaps to a place that was left to others
		case <-ctx.Done():
			g.withdraw(turn)
			return context.Cause(ctx)
		}
	}
}

// queue asks for a connection for a file: it is one's own when the channel is closed. Then leave must follow,
// or withdraw, which may also come before.
func (g *gate) queue(ctx context.Context, file Handle) (turn chan struct{}, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	turn = make(chan struct{})
	g.waiting = append(g.waiting, waiter{turn, file, needOf(ctx)})
	g.admitLocked()
	g.wanted = g.wanted || len(g.waiting) > 0
	return turn, nil
}

// withdraw takes a waiter out of the queue, or gives back the connection that it just got.
func (g *gate) withdraw(turn chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.waiting, func(w waiter) bool { return w.turn == turn }); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return
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

func (g *gate) admit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.admitLocked()
}

func (g *gate) admitLocked() {
	for len(g.waiting) > 0 && g.inUse < g.climb.limit {
		i := slices.IndexFunc(g.waiting, waiter.urgent)
		if i < 0 && g.inUse >= g.climb.limit-g.spare {
			return
		}
		i = max(0, i)
		next := g.waiting[i]
		g.waiting = slices.Delete(g.waiting, i, i+1)
		slices.SortStableFunc(g.waiting, func(a, b waiter) int { return cmp.Compare(a.after(next), b.after(next)) })
		g.inUse++
		close(next.turn)
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
