package megatest

import (
	"crypto/sha256"
	"sync"
	"time"
)

// replays remembers answers by request id, so that a client which resends a batch whose answer got
// lost gets the same answer and nothing is done twice (PROTOCOL 1.2).
type replays struct {
	now func() time.Time

	mu       sync.Mutex
	lifetime time.Duration         // GUARDED_BY(mu)
	entries  map[replayKey]*replay // GUARDED_BY(mu)
	order    []*replay             // oldest first. GUARDED_BY(mu)
}

type replayKey struct {
	who  string // session or address
	id   string
	body [sha256.Size]byte
}

// replay is one batch: being executed until done is closed.
type replay struct {
	key    replayKey
	began  time.Time
	done   chan struct{}
	answer []byte // nil when it must not be replayed
}

func newReplays(lifetime time.Duration, now func() time.Time) *replays {
	return &replays{now: now, lifetime: lifetime, entries: map[replayKey]*replay{}}
}

// begin registers a batch. mine is false when it is already known: wait for done, then use answer.
func (r *replays) begin(who, id string, body []byte) (e *replay, mine bool) {
	key := replayKey{who, id, sha256.Sum256(body)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pruneLocked()
	if e, known := r.entries[key]; known {
		return e, false
	}
	e = &replay{key: key, began: r.now(), done: make(chan struct{})}
	r.entries[key] = e
	r.order = append(r.order, e)
	return e, true
}

// end stores the answer of e; nil forgets the batch.
func (r *replays) end(e *replay, answer []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.answer = answer
	if answer == nil && r.entries[e.key] == e {
		delete(r.entries, e.key)
	}
	close(e.done)
}

// pruneLocked forgets what is older than the lifetime. What is still being executed stays known.
func (r *replays) pruneLocked() {
	limit := r.now().Add(-r.lifetime)
	n := 0
	for ; n < len(r.order) && !r.order[n].began.After(limit); n++ {
		e := r.order[n]
		select {
		case <-e.done:
		default:
			return
		}
		if r.entries[e.key] == e {
			delete(r.entries, e.key)
		}
		r.order[n] = nil
	}
	r.order = r.order[n:]
}

// setLifetime changes how long answers are kept.
func (r *replays) setLifetime(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lifetime = d
	r.pruneLocked()
}

// forget drops every answer at once, also those of batches that are still being executed.
func (r *replays) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries, r.order = map[replayKey]*replay{}, nil
}
