package megatest

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
)

// hold blocks commands of one name.
type hold struct {
	once sync.Once
	open chan struct{}
}

func (h *hold) release() { h.once.Do(func() { close(h.open) }) }

// Hold blocks every command of that name before it is executed, until release is called; then all that
// are held run, in no certain order. Stats.Held counts them and Stats.Commands already has them, so that
// Await tells when one has come.
func (f *Faults) Hold(command string) (release func()) {
	h := &hold{open: make(chan struct{})}
	f.mu.Lock()
	if old := f.holds[command]; old != nil {
		defer old.release()
	}
	f.holds[command] = h
	f.mu.Unlock()
	return func() {
		f.mu.Lock()
		if f.holds[command] == h {
			delete(f.holds, command)
		}
		f.mu.Unlock()
		h.release()
	}
}

// HoldUploads lets pieces of uploads pass as long as they are no more than so many bytes together, and blocks
// every other one before it is stored, until release is called. Stats.Held counts those too. A piece whose
// client goes away meanwhile is gone.
func (f *Faults) HoldUploads(after int64) (release func()) {
	h := &uploadHold{hold: hold{open: make(chan struct{})}, left: after}
	f.mu.Lock()
	if old := f.uploads; old != nil {
		defer old.release()
	}
	f.uploads = h
	f.mu.Unlock()
	return func() {
		f.mu.Lock()
		if f.uploads == h {
			f.uploads = nil
		}
		f.mu.Unlock()
		h.release()
	}
}

// uploadHold blocks pieces of uploads.
type uploadHold struct {
	hold
	left int64 // bytes that may still pass. GUARDED_BY(Faults.mu)
}

// awaitUpload blocks while a piece is held.
func (f *Faults) awaitUpload(r *http.Request, size int) {
	f.mu.Lock()
	h := f.uploads
	if h != nil && int64(size) <= h.left {
		h.left -= int64(size)
		h = nil
	}
	f.mu.Unlock()
	if h == nil {
		return
	}
	f.s.stats.count(func(n *Stats) { n.Held++ })
	defer f.s.stats.count(func(n *Stats) { n.Held-- })
	select {
	case <-h.open:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-f.s.ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

// await blocks while the command is held.
func (f *Faults) await(command string) {
	f.mu.Lock()
	h := f.holds[command]
	f.mu.Unlock()
	if h == nil {
		return
	}
	f.s.stats.count(func(n *Stats) { n.Held++ })
	defer f.s.stats.count(func(n *Stats) { n.Held-- })
	select {
	case <-h.open:
	case <-f.s.ctx.Done():
		panic(http.ErrAbortHandler) // it never ran, and the connection breaks
	}
}

// PutAside cuts the connection of every batch with such a command ("" stands for any) and keeps the batch; execute
// executes all that are kept, each once. Stats.Held counts them until then. So does a network that delivers a request
// when its client has long gone.
func (f *Faults) PutAside(command string) (execute func()) {
	a := &aside{command: command}
	f.mu.Lock()
	f.asides = append(f.asides, a)
	f.mu.Unlock()
	return func() {
		for _, batch := range f.forget(a) {
			batch()
		}
	}
}

// forget ends a putting aside, and gives what it kept.
func (f *Faults) forget(a *aside) []func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asides = slices.DeleteFunc(f.asides, func(b *aside) bool { return a == b })
	batches := a.batches
	a.batches = nil
	f.s.stats.count(func(n *Stats) { n.Held -= len(batches) })
	return batches
}

// aside is what PutAside keeps.
type aside struct {
	command string
	batches []func() // GUARDED_BY(Faults.mu)
}

// putAside keeps a batch, if it is asked to.
func (f *Faults) putAside(names []string, batch func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.asides {
		if a.command == "" || slices.Contains(names, a.command) {
			a.batches = append(a.batches, batch)
			f.s.stats.count(func(n *Stats) { n.Held++ })
			return true
		}
	}
	return false
}

// tell counts a command that has come and informs OnCommand.
func (c *counters) tell(name string, raw json.RawMessage) {
	c.count(func(n *Stats) { n.Commands[name]++ })
	c.mu.Lock()
	watch := c.watch
	c.mu.Unlock()
	for _, fn := range watch {
		fn(name, raw)
	}
}
