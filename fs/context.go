package fs

import (
	"context"
	"sync"
	"time"

	"megadisk/writeback/tree"
)

// interruptGrace is how long an interrupted request may still be answered with its data. Signals are normal (Go's own
// runtime sends them to preempt goroutines), so a read that is nearly there must not turn into EINTR.
const interruptGrace = 2 * time.Second

// request is the context of one request of the kernel. It ends when the mount ends, or when the kernel interrupts the
// request and the grace has passed. A goroutine exists only for a request that waits for something (that is, one whose
// Done was asked for), and end stops it: go-fuse uses the cancel channel again for a later request.
type request struct {
	base   context.Context // lives as long as the mount and carries its origin
	cancel <-chan struct{} // closed by an interrupt; nil: this request can't be interrupted
	grace  time.Duration

	mu          sync.Mutex
	done        chan struct{} // GUARDED_BY(mu); made by the first Done
	over        chan struct{} // GUARDED_BY(mu); closed by end
	interrupted time.Time     // GUARDED_BY(mu); when the interrupt was first seen
	err         error         // GUARDED_BY(mu)
}

// request makes the context of a request that the kernel may interrupt.
func (b *bridge) request(cancel <-chan struct{}) *request {
	return &request{base: b.life, cancel: cancel, grace: interruptGrace}
}

// shortRequests are those of reads, of which there are many.
var shortRequests = sync.Pool{New: func() any { return new(request) }}

// shortRequest is request for one that seldom waits; endShort ends it.
func (b *bridge) shortRequest(cancel <-chan struct{}) *request {
	r := shortRequests.Get().(*request)
	r.base, r.cancel, r.grace = b.life, cancel, interruptGrace
	return r
}

// endShort is end, and uses the request again, unless somebody asked for its Done and may still hold it.
func (r *request) endShort() {
	r.end()
	r.mu.Lock()
	unused := r.done == nil
	r.mu.Unlock()
	if unused {
		*r = request{}
		shortRequests.Put(r)
	}
}

// unbreakable makes the context of a request that must not be interrupted: close(2) can't be repeated.
func (b *bridge) unbreakable() *request { return &request{base: b.life} }

// Deadline implements context.Context; there is none.
func (r *request) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (r *request) Value(key any) any { return r.base.Value(key) }

// Done implements context.Context.
func (r *request) Done() <-chan struct{} {
	if r.cancel == nil {
		return r.base.Done()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done, r.over = make(chan struct{}), make(chan struct{})
		go r.watch(r.over)
	}
	return r.done
}

// Err implements context.Context.
func (r *request) Err() error {
	if err := r.base.Err(); err != nil || r.cancel == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && r.interruptedLocked() && time.Since(r.interrupted) >= r.grace {
		r.err = context.Canceled
	}
	return r.err
}

// interruptedLocked tells whether the kernel has interrupted the request, and notes when that was first seen.
func (r *request) interruptedLocked() bool {
	select {
	case <-r.cancel:
		if r.interrupted.IsZero() {
			r.interrupted = time.Now()
		}
		return true
	default:
		return false
	}
}

// watch closes done at the mount's end, or when the grace after an interrupt has passed. It ends with the request.
func (r *request) watch(over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-r.base.Done():
		r.finish(r.base.Err())
		return
	case <-r.cancel:
	}
	timer := time.NewTimer(r.grace)
	defer timer.Stop()
	select {
	case <-over:
	case <-r.base.Done():
		r.finish(r.base.Err())
	case <-timer.C:
		r.finish(context.Canceled)
	}
}

func (r *request) finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	close(r.done)
}

// end is called when the request has been answered.
func (r *request) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over != nil {
		close(r.over)
		r.over = nil
	}
}

// lifetime makes the context under which everything of one mount happens; changes made under it carry the mount as
// their origin, so that it isn't told about what it did itself.
func lifetime(origin any) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	return tree.WithOrigin(ctx, origin), cancel
}
