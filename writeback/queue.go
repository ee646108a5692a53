package writeback

import (
	"context"
	"slices"
	"sync"
	"time"

	"megadisk/writeback/tree"
)

// queue is the journal in memory: what differs from the cloud, and what is
// being done about it. Its lock is a leaf.
type queue struct {
	mu      sync.Mutex
	dirty   map[tree.Ino]*dirtyInode // GUARDED_BY(mu)
	deleted map[tree.Ino]time.Time   // GUARDED_BY(mu): last removal below a folder
	paused  bool                     // GUARDED_BY(mu): the session has ended
	change  chan struct{}            // GUARDED_BY(mu): closed and renewed at each change
	wake    chan struct{}            // the planner looks again
}

// dirtyInode is one inode that differs.
type dirtyInode struct {
	ino      tree.Ino
	entry    entry
	sending  bool        // stands in the batch that is prepared or in flight
	forced   int         // callers of Flush that wait for it
	asked    bool        // a Flush came: settle times don't hold any more
	gen      *generation // frozen content
	uploaded bool        // all its bytes are there, the token and the fingerprint known
	upload   *upload     // running upload of it
	tried    int         // Attempts since the start, for Flush
	refusal  error       // the last one
}

// upload is a running upload.
type upload struct {
	cancel  context.CancelFunc
	started time.Time
	total   int64
	done    int64 // GUARDED_BY(queue.mu)
}

func (q *queue) init() {
	q.dirty = map[tree.Ino]*dirtyInode{}
	q.deleted = map[tree.Ino]time.Time{}
	q.change = make(chan struct{})
	q.wake = make(chan struct{}, 1)
}

// apply takes over what a transaction did to journal rows; nil: row gone.
func (q *queue) apply(touched map[tree.Ino]*entry) {
	if len(touched) == 0 {
		return
	}
	q.mu.Lock()
	for ino, ent := range touched {
		d := q.dirty[ino]
		switch {
		case ent == nil && d != nil:
			if d.upload != nil {
				d.upload.cancel()
			}
			delete(q.dirty, ino)
		case ent == nil:
		case d == nil:
			q.dirty[ino] = &dirtyInode{ino: ino, entry: *ent}
		default:
			d.entry = *ent
		}
	}
	q.changedLocked()
	q.mu.Unlock()
	q.kick()
}

// changedLocked wakes those who wait for the journal to change.
func (q *queue) changedLocked() {
	close(q.change)
	q.change = make(chan struct{})
}

// kick makes the planner look again.
func (q *queue) kick() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) has(ino tree.Ino) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dirty[ino] != nil
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.dirty)
}

// with calls fn for a dirty inode under the lock; nothing if it isn't.
func (q *queue) with(ino tree.Ino, fn func(*dirtyInode)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d := q.dirty[ino]; d != nil {
		fn(d)
	}
}

// generation gives the frozen content of a file, nil if there is none.
func (q *queue) generation(ino tree.Ino) (g *generation) {
	q.with(ino, func(d *dirtyInode) { g = d.gen })
	return g
}

// uploaded gives the generation of a file whose upload is complete.
func (q *queue) uploaded(ino tree.Ino) (g *generation) {
	q.with(ino, func(d *dirtyInode) {
		if d.uploaded {
			g = d.gen
		}
	})
	return g
}

// cancelUpload ends the upload of a file that was removed, unless its command
// is on its way.
func (q *queue) cancelUpload(ino tree.Ino) {
	q.with(ino, func(d *dirtyInode) {
		if d.upload != nil && !d.sending {
			d.upload.cancel()
		}
	})
}

// deletedBelow notes a removal for the rest of other removals there.
func (q *queue) deletedBelow(dirs []tree.Ino, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, dir := range dirs {
		q.deleted[dir] = now
	}
}

// forgetDeleted drops notes that no removal waits for any more.
func (q *queue) forgetDeleted(before time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for dir, t := range q.deleted {
		if t.Before(before) {
			delete(q.deleted, dir)
		}
	}
}

// snapshot copies the dirty set in the order of the first changes.
func (q *queue) snapshot() []dirtyInode {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]dirtyInode, 0, len(q.dirty))
	for _, d := range q.dirty {
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b dirtyInode) int {
		switch {
		case a.entry.Seq < b.entry.Seq:
			return -1
		case a.entry.Seq > b.entry.Seq:
			return 1
		}
		return 0
	})
	return all
}

// setSending marks inodes as standing in a batch, or no longer.
func (q *queue) setSending(inos []tree.Ino, sending bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, ino := range inos {
		if d := q.dirty[ino]; d != nil {
			d.sending = sending
		}
	}
	q.changedLocked()
}

// uploads counts those that run.
func (q *queue) uploads() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.dirty {
		if d.upload != nil {
			n++
		}
	}
	return n
}
