package tree

import (
	"context"
	"slices"
	"sync"
)

type originKey struct{}

// WithOrigin gives a context whose transactions report their changes with this Origin, so that a
// subscriber knows its own.
func WithOrigin(ctx context.Context, origin any) context.Context {
	return context.WithValue(ctx, originKey{}, origin)
}

// Origin gives the origin that WithOrigin set, else nil.
func Origin(ctx context.Context) any { return ctx.Value(originKey{}) }

// dispatcher tells changes to subscribers from a goroutine of its own, so that they may wait for the
// kernel, or call the tree, without holding anybody up. The queue has no limit: a commit never waits
// for a subscriber.
type dispatcher struct {
	done chan struct{} // closed when run has ended

	mu     sync.Mutex
	wake   *sync.Cond    // of mu
	queue  [][]Change    // GUARDED_BY(mu)
	subs   []*subscriber // GUARDED_BY(mu): replaced, never changed
	closed bool          // GUARDED_BY(mu)
}

// subscriber is one function that wants to know.
type subscriber struct {
	fn func([]Change)

	mu   sync.Mutex // held during the call
	over bool       // GUARDED_BY(mu)
}

func newDispatcher() *dispatcher {
	d := &dispatcher{done: make(chan struct{})}
	d.wake = sync.NewCond(&d.mu)
	go d.run()
	return d
}

func (d *dispatcher) send(changes []Change) {
	if len(changes) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, changes)
	d.wake.Signal()
}

// run calls the subscribers until the dispatcher is closed and the queue empty.
func (d *dispatcher) run() {
	defer close(d.done)
	for {
		d.mu.Lock()
		for len(d.queue) == 0 && !d.closed {
			d.wake.Wait()
		}
		if len(d.queue) == 0 {
			d.mu.Unlock()
			return
		}
		changes, subs := d.queue[0], d.subs
		d.queue = d.queue[1:]
		d.mu.Unlock()
		for _, s := range subs {
			s.call(changes)
		}
	}
}

func (s *subscriber) call(changes []Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.fn(changes)
	}
}

func (d *dispatcher) subscribe(fn func([]Change)) (cancel func()) {
	s := &subscriber{fn: fn}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.subs = append(slices.Clone(d.subs), s)
	return func() { d.cancel(s) }
}

// cancel waits for a call under way; it must not be called from within that call.
func (d *dispatcher) cancel(s *subscriber) {
	d.mu.Lock()
	d.subs = slices.DeleteFunc(slices.Clone(d.subs), func(o *subscriber) bool { return o == s })
	d.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// close waits until all that was sent has been told.
func (d *dispatcher) close() {
	d.mu.Lock()
	d.closed = true
	d.wake.Signal()
	d.mu.Unlock()
	<-d.done
}
