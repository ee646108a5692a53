package fs

import (
	"context"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback/tree"
)

// notifyWorkers bounds how many notifies wait in the kernel at the same time.
const notifyWorkers = 16

// notifier tells the kernel what to drop. The rule: commit the tree, release every lock, then notify, from goroutines
// that are neither a request nor the event loop. So a change only marks what is due, and workers send it: one worker an
// inode at a time, no lock held. A notify can wait in the kernel, for a folder's lock or for a file's reads in flight;
// it then keeps its own worker waiting and nobody else.
//
// A folder's changed names get EntryNotify, then the folder gets InodeNotify(dir, 0, 0). Both are needed: the first
// leaves a cached listing stale where the name was never looked up, the second leaves the name. The order matters: the
// first waits until lookups and listings in flight have been answered, so that what they bring to the kernel's caches
// is dropped too.
//
// A file with open handles never gets a content notify: only its attributes are dropped, and its pages after the last
// close. (Open handles keep the version they opened, see package tree; this is about one that was being opened while
// the change came in.)
type notifier struct {
	table  table // for where a changed inode is
	nodeID func(tree.Ino) uint64
	ready  func() bool        // the kernel keeps names; not while the first tree is still coming
	letGo  func(ino tree.Ino) // told when the kernel doesn't know a removed inode

	mu      sync.Mutex
	kernel  kernel                // GUARDED_BY(mu); nil until the kernel is there, and after it went
	due     map[tree.Ino]*dueWork // GUARDED_BY(mu)
	queue   []tree.Ino            // GUARDED_BY(mu); keys of due that no worker is busy with, in order
	busy    map[tree.Ino]bool     // GUARDED_BY(mu); inodes that a worker is busy with
	handles map[tree.Ino]int      // GUARDED_BY(mu); open handles of files
	stale   map[tree.Ino]bool     // GUARDED_BY(mu); files that changed, whose old pages the kernel may still hold
	idle    chan struct{}         // GUARDED_BY(mu); closed when nothing is due any more; nil: nobody waits
	step    chan struct{}         // GUARDED_BY(mu); closed when a worker has sent something; nil: nobody waits
	workers sync.WaitGroup
}

// kernel is the part of fuse.Server that tells the kernel something.
type kernel interface {
	InodeNotify(node uint64, off, length int64) fuse.Status
	EntryNotify(parent uint64, name string) fuse.Status
}

// dueWork is what the kernel must be told of one inode.
type dueWork struct {
	names   []string // entries of this folder that changed
	content bool
	attr    bool
	removed bool
}

func newNotifier(t table, nodeID func(tree.Ino) uint64, ready func() bool, letGo func(tree.Ino)) *notifier {
	return &notifier{
		table: t, nodeID: nodeID, ready: ready, letGo: letGo,
		due: map[tree.Ino]*dueWork{}, busy: map[tree.Ino]bool{},
		handles: map[tree.Ino]int{}, stale: map[tree.Ino]bool{},
	}
}

// start begins notifying. Nothing is due before: the kernel has cached nothing yet.
func (n *notifier) start(k kernel) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kernel = k
}

// stop ends notifying, and waits for what is being sent.
func (n *notifier) stop() {
	n.mu.Lock()
	n.kernel = nil
	n.due, n.queue = map[tree.Ino]*dueWork{}, nil
	n.wakeLocked()
	n.steppedLocked()
	n.mu.Unlock()
	n.workers.Wait()
}

// changed takes the changes of one commit. It is called by the tree's dispatcher and only marks. What this mount's own
// requests did, the kernel knows; only that an inode went must be followed for those too.
func (n *notifier) changed(origin any, changes []tree.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range changes {
		if m, ok := c.Origin.(*marker); ok {
			if m.of == n {
				close(m.passed)
			}
			continue
		}
		if c.Removed && c.Ino != 0 {
			n.markLocked(c.Ino, func(w *dueWork) { w.removed = true })
		}
		if c.Origin == origin {
			continue
		}
		if c.Name != "" && n.ready() {
			n.markLocked(c.Dir, func(w *dueWork) { w.names = append(w.names, c.Name) })
		}
		if c.Content {
			n.stale[c.Ino] = true
		}
		if c.Content || c.Attr {
			n.markLocked(c.Ino, func(w *dueWork) { w.content, w.attr = w.content || c.Content, true })
		}
	}
	n.spawnLocked()
}

// markLocked adds to what is due for an inode. spawnLocked must follow.
func (n *notifier) markLocked(ino tree.Ino, add func(*dueWork)) {
	if n.kernel == nil {
		return
	}
	w := n.due[ino]
	if w == nil {
		w = &dueWork{}
		n.due[ino] = w
		if !n.busy[ino] {
			n.queue = append(n.queue, ino)
		}
	}
	add(w)
}

// spawnLocked sees that workers come for the queue. A worker goes on until the queue is empty.
func (n *notifier) spawnLocked() {
	for len(n.queue) > 0 && len(n.busy) < notifyWorkers {
		ino, work := n.takeLocked()
		k := n.kernel
		n.workers.Add(1)
		go func() {
			defer n.workers.Done()
			for work != nil {
				n.send(k, ino, work)
				ino, work = n.next(ino)
			}
		}()
	}
}

func (n *notifier) takeLocked() (tree.Ino, *dueWork) {
	ino := n.queue[0]
	n.queue = n.queue[1:]
	work := n.due[ino]
	delete(n.due, ino)
	n.busy[ino] = true
	return ino, work
}

// next ends a worker's piece of work and gives it another one, nil if there is none.
func (n *notifier) next(done tree.Ino) (tree.Ino, *dueWork) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.busy, done)
	n.steppedLocked()
	if n.due[done] != nil { // more came while it was busy
		n.queue = append(n.queue, done)
	}
	if len(n.queue) > 0 {
		return n.takeLocked()
	}
	if len(n.busy) == 0 {
		n.wakeLocked()
	}
	return 0, nil
}

func (n *notifier) wakeLocked() {
	if n.idle != nil {
		close(n.idle)
		n.idle = nil
	}
}

func (n *notifier) steppedLocked() {
	if n.step != nil {
		close(n.step)
		n.step = nil
	}
}

// sent waits until all that was due for one inode has been sent.
func (n *notifier) sent(ctx context.Context, ino tree.Ino) error {
	for {
		n.mu.Lock()
		if n.due[ino] == nil && !n.busy[ino] {
			n.mu.Unlock()
			return nil
		}
		if n.step == nil {
			n.step = make(chan struct{})
		}
		step := n.step
		n.mu.Unlock()
		select {
		case <-step:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settled waits until all that was due has been sent.
func (n *notifier) settled(ctx context.Context) error {
	n.mu.Lock()
	if len(n.due) == 0 && len(n.busy) == 0 {
		n.mu.Unlock()
		return nil
	}
	if n.idle == nil {
		n.idle = make(chan struct{})
	}
	idle := n.idle
	n.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send tells the kernel, holding nothing. That the kernel doesn't know an inode or a name is normal.
func (n *notifier) send(k kernel, ino tree.Ino, w *dueWork) {
	node := n.nodeID(ino)
	for _, name := range w.names {
		k.EntryNotify(node, name)
	}
	if len(w.names) > 0 {
		k.InodeNotify(node, 0, 0)
	}
	if w.content || w.attr {
		n.sendFile(k, ino, w.content)
	}
	if w.removed && k.InodeNotify(node, -1, 0) == fuse.ENOENT {
		n.letGo(ino)
	}
}

// sendFile drops a file's attributes, and its pages if they are stale and nobody has it open.
func (n *notifier) sendFile(k kernel, ino tree.Ino, content bool) {
	off := int64(-1) // attributes only
	if content = content && n.isClosed(ino); content {
		off = 0
	}
	status := k.InodeNotify(n.nodeID(ino), off, 0)
	if content {
		n.dropped(ino)
	}
	if status != fuse.ENOENT {
		return
	}
	// Unknown, but a lookup of it may be on its way to the kernel with what was true before. It holds the folder's
	// lock, so that this waits for it.
	if row, err := n.table.Get(ino); err == nil && row.Name != "" {
		k.EntryNotify(n.nodeID(row.Parent), row.Name)
	}
}

func (n *notifier) isClosed(ino tree.Ino) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.handles[ino] == 0
}

// dropped notes that the kernel has no old pages any more, unless the file changed once more meanwhile.
func (n *notifier) dropped(ino tree.Ino) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w := n.due[ino]; w == nil || !w.content {
		delete(n.stale, ino)
	}
}

// opened counts a handle. It comes before the engine opens the file, so that the file is never taken for closed.
func (n *notifier) opened(ino tree.Ino) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handles[ino]++
}

// closed uncounts a handle; after the last one, pages that were found stale meanwhile can go.
func (n *notifier) closed(ino tree.Ino) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.handles[ino]--; n.handles[ino] > 0 {
		return
	}
	delete(n.handles, ino)
	if n.stale[ino] {
		n.markLocked(ino, func(w *dueWork) { w.content, w.attr = true, true })
		n.spawnLocked()
	}
}

// isShared tells whether a file that is being opened is open already.
func (n *notifier) isShared(ino tree.Ino) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.handles[ino] > 1
}

// isStale tells whether the kernel may still hold old pages of a file that is being opened. The answer to that OPEN then
// makes the kernel drop them.
func (n *notifier) isStale(ino tree.Ino) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stale[ino]
}
