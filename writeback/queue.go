package writeback

import (
	"cmp"
	"container/list"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"megadisk/writeback/tree"
)

// queue is the journal in memory: what differs from the cloud, and what is
// being done about it. Its lock is a leaf. No method but snapshot looks at
// everything that is dirty.
type queue struct {
	mu      sync.Mutex
	dirty   map[tree.Ino]*dirtyInode // GUARDED_BY(mu)
	order   *list.List               // GUARDED_BY(mu): of *dirtyInode, by entry.Seq
	refused map[tree.Ino]*dirtyInode // GUARDED_BY(mu): those with a reason, or held
	running map[tree.Ino]*dirtyInode // GUARDED_BY(mu): those with an upload
	// local are those that stay here, by the reason; they count as pending nowhere.
	local   map[stay]map[tree.Ino]*dirtyInode // GUARDED_BY(mu)
	bytes   int64                             // GUARDED_BY(mu): sum of dirtyInode.bytes, but of local
	deleted map[tree.Ino]time.Time            // GUARDED_BY(mu): last removal below a folder
	marks   inoSet                            // GUARDED_BY(mu): the planner must look at them
	// removals are the files that went lately, for the brake.
	removals []removal     // GUARDED_BY(mu)
	busy     bool          // GUARDED_BY(mu): the sender has work
	halts    [halts]error  // GUARDED_BY(mu): why nothing is sent
	tryAt    time.Time     // GUARDED_BY(mu): when a blocked account is tried again
	clock    uint64        // GUARDED_BY(mu): counts Flushes, to tell what came before and after one
	wake     chan struct{} // the planner looks again
}

// dirtyInode is one inode that differs.
type dirtyInode struct {
	ino      tree.Ino
	entry    entry
	place    *list.Element // in queue.order
	stays    stay          // stands in queue.local, unless it goes
	sending  bool          // stands in the batch that is prepared or in flight
	asked    uint64        // the Flush (queue.clock) since which settle times don't hold; 0: they do
	gen      *generation   // frozen content
	uploaded bool          // all its bytes are there, the token and the fingerprint known
	upload   *upload       // running upload of it
	tried    int           // Attempts since the start, for Flush
	refusal  error         // the last one, unless it passes by itself
	wall     error         // what it isn't even asked for
	bytes    int64         // of content to send, as the planner last saw it
	claims   []*claims     // Flushes that wait for it
	cutShort bool          // its writer was interrupted by the end of an earlier run
}

// upload is a running upload.
type upload struct {
	cancel  context.CancelFunc
	started time.Time
	large   bool
	total   int64
	done    int64 // GUARDED_BY(queue.mu)
}

func (q *queue) init() {
	q.dirty = map[tree.Ino]*dirtyInode{}
	q.order = list.New()
	q.refused = map[tree.Ino]*dirtyInode{}
	q.running = map[tree.Ino]*dirtyInode{}
	q.local = map[stay]map[tree.Ino]*dirtyInode{staysByName: {}, staysInTrash: {}}
	q.deleted = map[tree.Ino]time.Time{}
	q.marks = inoSet{}
	q.wake = make(chan struct{}, 1)
}

// apply takes over what a transaction did to journal rows; nil: row gone. Of
// those in stays nothing is to be sent.
func (q *queue) apply(touched map[tree.Ino]*entry, stays map[tree.Ino]stay) {
	if len(touched) == 0 {
		return
	}
	inos := make([]tree.Ino, 0, len(touched))
	for ino := range touched {
		inos = append(inos, ino)
	}
	slices.SortFunc(inos, func(a, b tree.Ino) int { return cmp.Compare(seqOf(touched[a]), seqOf(touched[b])) })
	q.mu.Lock()
	for _, ino := range inos {
		q.applyLocked(ino, touched[ino], stays[ino])
		q.marks[ino] = struct{}{}
	}
	q.mu.Unlock()
	q.kick()
}

func seqOf(ent *entry) uint64 {
	if ent == nil {
		return 0
	}
	return ent.Seq
}

func (q *queue) applyLocked(ino tree.Ino, ent *entry, stays stay) {
	d := q.dirty[ino]
	switch {
	case ent == nil && d == nil:
		return
	case ent == nil:
		if d.upload != nil {
			d.upload.cancel()
		}
		q.order.Remove(d.place)
		q.setStaysLocked(d, goes)
		q.bytes -= d.bytes
		delete(q.dirty, ino)
		delete(q.refused, ino)
		delete(q.running, ino)
		q.reviewLocked(d)
		return
	case d == nil:
		d = &dirtyInode{ino: ino, entry: *ent}
		d.place = q.order.PushBack(d)
		q.dirty[ino] = d
	default:
		if d.entry.Seq != ent.Seq {
			q.order.MoveToBack(d.place)
		}
		d.entry = *ent
	}
	q.setStaysLocked(d, stays)
	q.listRefusedLocked(d)
	q.reviewLocked(d)
}

func (q *queue) listRefusedLocked(d *dirtyInode) {
	if d.entry.Reason != "" || d.entry.Held || d.entry.Braked || d.wall != nil {
		q.refused[d.ino] = d
	} else {
		delete(q.refused, d.ino)
	}
}

// setWall notes what an inode isn't asked for, nil: nothing.
func (q *queue) setWall(ino tree.Ino, why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d := q.dirty[ino]; d != nil && d.wall != why {
		d.wall = why
		q.listRefusedLocked(d)
		q.reviewLocked(d)
	}
}

// wallsFell makes the planner decide anew for what waited for a wall.
func (q *queue) wallsFell() {
	q.mu.Lock()
	for ino, d := range q.refused {
		if d.wall != nil {
			d.wall = nil
			q.listRefusedLocked(d)
			q.reviewLocked(d)
		}
		q.marks[ino] = struct{}{}
	}
	q.mu.Unlock()
	q.kick()
}

// retryAll forgets refusals, and how long what was refused was to wait.
func (q *queue) retryAll() {
	q.mu.Lock()
	for ino, d := range q.dirty {
		if d.entry.Retry != 0 || d.wall != nil {
			d.entry.Retry, d.refusal, d.wall = 0, nil, nil
			q.listRefusedLocked(d)
			q.reviewLocked(d)
			q.marks[ino] = struct{}{}
		}
	}
	q.mu.Unlock()
	q.kick()
}

// cancelUploads breaks off all that run.
func (q *queue) cancelUploads() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.running {
		if !d.sending {
			d.upload.cancel()
		}
	}
}

// kick makes the planner look again.
func (q *queue) kick() { poke(q.wake) }

// mark makes the planner look at inodes: something that it decides by may have
// changed.
func (q *queue) mark(inos ...tree.Ino) {
	q.mu.Lock()
	for _, ino := range inos {
		q.marks[ino] = struct{}{}
	}
	q.mu.Unlock()
	q.kick()
}

// takeMarks gives what is marked, and unmarks it. What Flushes up to clock are
// about is marked, and in every view of the tree that is opened later.
func (q *queue) takeMarks() (marks inoSet, clock uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	marks = q.marks
	q.marks = inoSet{}
	return marks, q.clock
}

// now is the last Flush that has begun.
func (q *queue) now() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.clock
}

// marked lists what is marked.
func (q *queue) marked() []tree.Ino {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Collect(maps.Keys(q.marks))
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

// get copies what is known of a dirty inode; false if it isn't one.
func (q *queue) get(ino tree.Ino) (dirtyInode, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d := q.dirty[ino]; d != nil {
		return *d, true
	}
	return dirtyInode{}, false
}

// leaving lists files but one whose content is to go up and wasn't refused, or
// the first of them.
func (q *queue) leaving(but tree.Ino) (inos []tree.Ino) {
	const enough = 1000
	q.mu.Lock()
	defer q.mu.Unlock()
	for at := q.order.Front(); at != nil && len(inos) < enough; at = at.Next() {
		d := at.Value.(*dirtyInode)
		if d.ino != but && d.entry.Content > 0 && d.entry.Reason == "" && !d.entry.Held && d.stays == goes {
			inos = append(inos, d.ino)
		}
	}
	return inos
}

// with calls fn for a dirty inode under the lock; nothing if it isn't.
func (q *queue) with(ino tree.Ino, fn func(*dirtyInode)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d := q.dirty[ino]; d != nil {
		fn(d)
		q.reviewLocked(d)
	}
}

// generation gives the frozen content of a file, nil if there is none.
func (q *queue) generation(ino tree.Ino) *generation {
	d, _ := q.get(ino)
	return d.gen
}

// interruptedBy notes whose writers an earlier run's end has interrupted, and lists them.
func (q *queue) interruptedBy(entries map[tree.Ino]*entry) (inos []tree.Ino) {
	for ino, ent := range entries {
		if ent.Open {
			q.with(ino, func(d *dirtyInode) { d.cutShort = true })
			inos = append(inos, ino)
		}
	}
	slices.Sort(inos)
	return inos
}

func (q *queue) interrupted(ino tree.Ino) bool {
	d, _ := q.get(ino)
	return d.cutShort
}

// uploaded gives the generation of a file whose upload is complete.
func (q *queue) uploaded(ino tree.Ino) *generation {
	if d, _ := q.get(ino); d.uploaded {
		return d.gen
	}
	return nil
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

func (q *queue) lastDeleted(dir tree.Ino) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.deleted[dir]
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

// all lists the dirty set in the order of the first changes.
func (q *queue) all() []tree.Ino {
	q.mu.Lock()
	defer q.mu.Unlock()
	inos := make([]tree.Ino, 0, len(q.dirty))
	for at := q.order.Front(); at != nil; at = at.Next() {
		inos = append(inos, at.Value.(*dirtyInode).ino)
	}
	return inos
}

// setSending marks inodes as standing in a batch, or no longer.
func (q *queue) setSending(inos []tree.Ino, sending bool) {
	q.mu.Lock()
	for _, ino := range inos {
		q.marks[ino] = struct{}{}
		if d := q.dirty[ino]; d != nil {
			d.sending = sending
			q.reviewLocked(d)
		}
	}
	q.mu.Unlock()
	q.kick()
}

// setBusy says whether the sender has work.
func (q *queue) setBusy(busy bool) {
	q.mu.Lock()
	q.busy = busy
	q.mu.Unlock()
	q.kick()
}

func (q *queue) isBusy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy
}

// setBytes notes how much content an inode has to send.
func (q *queue) setBytes(ino tree.Ino, n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d := q.dirty[ino]; d != nil {
		if d.stays == goes {
			q.bytes += n - d.bytes
		}
		d.bytes = n
	}
}

// begin notes an upload; false if there is one already, or nothing to send.
func (q *queue) begin(ino tree.Ino, up *upload) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.dirty[ino]
	if d == nil || d.upload != nil {
		return false
	}
	d.upload = up
	q.running[ino] = d
	return true
}

// runs tells whether that upload is the one of the inode.
func (q *queue) runs(ino tree.Ino, up *upload) (yes bool) {
	q.with(ino, func(d *dirtyInode) { yes = d.upload == up })
	return yes
}

// end notes that an upload is over.
func (q *queue) end(ino tree.Ino, up *upload) {
	q.mu.Lock()
	if d := q.dirty[ino]; d != nil && d.upload == up {
		d.upload = nil
		delete(q.running, ino)
		q.reviewLocked(d)
	}
	q.marks[ino] = struct{}{}
	q.mu.Unlock()
	q.kick()
}

// uploads counts those that run.
func (q *queue) uploads() (small, large int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.running {
		if d.upload.large {
			large++
		} else {
			small++
		}
	}
	return small, large
}
