package writeback

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// Status is what the engine is doing, for people. It holds names: it must not
// reach a log.
type Status struct {
	Fetched      bool            // a tree is here
	Offline      time.Time       // since when the cloud doesn't answer; zero: it does
	Behind       time.Time       // since when there is, or may be, news from the cloud that isn't shown; zero: there is none
	SessionEnded bool            // log in again
	Blocked      string          // why the account is blocked; "" if it isn't
	Paused       bool            // Pause was called
	Braked       int             // deletions that wait for Approve or Revert
	Walls        []string        // why changes of some kind, or in some place, aren't even tried; that some, or news, can't be read, or that the disk failed
	Pending      []PendingChange // refused ones first, then the oldest; at most some hundred of each
	PendingCount int             // all that differ and are to be sent
	RefusedCount int             // of those, how many were refused
	PendingBytes int64           // of content to send, about
	Uploads      []Transfer
	Local        []LocalFile // what stays here because of its name: not among the pending; at most some hundred
	LocalCount   int
	Interrupted  []InterruptedFile // what programs were writing when an earlier run was killed; at most some hundred
	Quota        megaclient.Quota
	QuotaKnown   bool
	Staged       staging.Usage
	Cache        cache.Stats
	Orphaned     []Orphaned // staged bytes whose database was lost: they were moved there, untouched
}

// PendingChange is one inode that differs from the cloud.
type PendingChange struct {
	Ino      tree.Ino
	Path     string
	What     string // "new", "changed", "moved", "attributes", "removed"
	Since    time.Time
	Size     int64  // bytes of content to send, else 0
	Reason   string // why it was refused; "" if it wasn't
	Attempts int
	Retry    time.Time // when it is tried again; zero: as soon as possible
	Held     bool      // its content is damaged
}

// InterruptedFile was stored while a program wrote to it, and no close or fsync came before the process was killed: it
// may end in the middle of what was meant. It is sent as it is.
type InterruptedFile struct {
	Path string
	Size int64
}

// listInterrupted names those that are still there, until the next start.
func (e *Engine) listInterrupted() (list []InterruptedFile) {
	for _, ino := range e.interrupted {
		if len(list) >= statusListed {
			break
		}
		if in, path, ok := e.named(ino); ok && !in.Removed {
			list = append(list, InterruptedFile{Path: path, Size: in.Size})
		}
	}
	return list
}

// Transfer is an upload under way.
type Transfer struct {
	Ino         tree.Ino
	Path        string
	Done, Total int64 // bytes
	Started     time.Time
}

// statusKeeper remembers what the parts report. Its lock is a leaf.
type statusKeeper struct {
	askQuota chan struct{}
	revived  chan struct{} // has something when a session has taken the place of one that ended: for the event loop
	resend   chan struct{} // the same, for the sender

	mu         sync.Mutex
	quota      megaclient.Quota
	quotaKnown bool
}

func (s *statusKeeper) init() {
	s.askQuota = make(chan struct{}, 1)
	s.revived, s.resend = make(chan struct{}, 1), make(chan struct{}, 1)
}

func (s *statusKeeper) wantQuota() { poke(s.askQuota) }

func (s *statusKeeper) setQuota(q megaclient.Quota) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota, s.quotaKnown = q, true
}

// free is the room in the account as far as it is known, -1: it isn't.
func (s *statusKeeper) free() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.quotaKnown {
		return -1
	}
	return s.quota.Total - s.quota.Used
}

// Statfs gives the account's size and how much of it is used, in bytes; zeros
// until the cloud has said it.
func (e *Engine) Statfs() (total, used int64) {
	e.status.mu.Lock()
	defer e.status.mu.Unlock()
	return e.status.quota.Total, e.status.quota.Used
}

// Status gives a snapshot.
func (e *Engine) Status() Status {
	s := Status{Fetched: e.tree.Fetched(), Staged: e.staging.Usage(), Orphaned: e.listOrphaned()}
	if e.cache != nil {
		s.Cache = e.cache.Stats()
	}
	if c := e.client.Connection(); c.Err != nil {
		s.Offline = c.Since
	}
	if s.Behind = e.stream.behindSince(); s.Behind.IsZero() {
		s.Behind = s.Offline
	}
	e.status.mu.Lock()
	s.Quota, s.QuotaKnown = e.status.quota, e.status.quotaKnown
	e.status.mu.Unlock()
	s.SessionEnded = e.queue.halted(haltSession) != nil
	s.Braked = e.queue.braked()
	s.Paused = e.queue.halted(haltPaused) != nil
	if why := e.queue.halted(haltBlocked); why != nil {
		s.Blocked = why.Error()
	}
	s.Interrupted = e.listInterrupted()
	s.Local, s.LocalCount = e.localFiles(), e.queue.localCount()
	for _, why := range e.walls.list() {
		s.Walls = append(s.Walls, why.Error())
	}
	if e.tree.Unsynced() != nil {
		s.Walls = append(s.Walls, errUnsynced.Error())
	}
	if e.stream.isRefused() {
		s.Walls = append(s.Walls, errNotShown.Error())
	}
	if n := e.queue.unread(); n > 0 {
		s.Walls = append(s.Walls, fmt.Sprintf("%v (changes that wait: %d)", errUnread, n))
	}
	var list, running []dirtyInode
	list, running, s.PendingCount, s.RefusedCount, s.PendingBytes = e.queue.listed(statusListed)
	for i := range list {
		if in, path, ok := e.named(list[i].ino); ok {
			s.Pending = append(s.Pending, pendingChange(&list[i], &in, path))
		}
	}
	for i := range running {
		if _, path, ok := e.named(running[i].ino); ok {
			s.Uploads = append(s.Uploads, e.transfer(&running[i], path))
		}
	}
	return s
}

// unread counts the changes that wait since something that they depend on can't be read.
func (q *queue) unread() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.refused {
		if d.wall == errUnread {
			n++
		}
	}
	return n
}

// statusListed is how many pending changes Status lists by name, and as many
// refused ones before them.
const statusListed = 300

// named gives an inode and its path.
func (e *Engine) named(ino tree.Ino) (in tree.Inode, path string, ok bool) {
	in, err := e.tree.Get(ino)
	if err != nil {
		return in, "", false
	}
	if path, err = e.tree.Path(ino); err != nil {
		path = in.Name
	}
	return in, path, true
}

// listed copies what Status shows: refused changes first, then the oldest of
// the others; running uploads; and the counts of all. It looks at no more than
// it gives.
func (q *queue) listed(most int) (list, running []dirtyInode, count, refused int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.refused {
		if len(list) >= most {
			break
		}
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b dirtyInode) int { return cmp.Compare(a.entry.Seq, b.entry.Seq) })
	looked := 0
	for at := q.order.Front(); at != nil && looked < most; at = at.Next() {
		d := at.Value.(*dirtyInode)
		if looked++; q.refused[d.ino] == nil && d.stays == goes {
			list = append(list, *d)
		}
	}
	for _, d := range q.running {
		running = append(running, *d)
	}
	slices.SortFunc(running, func(a, b dirtyInode) int { return cmp.Compare(a.entry.Seq, b.entry.Seq) })
	return list, running, len(q.dirty) - len(q.local[staysByName]) - len(q.local[staysInTrash]), len(q.refused), q.bytes
}

func pendingChange(d *dirtyInode, in *tree.Inode, path string) PendingChange {
	p := PendingChange{
		Ino: d.ino, Path: path, What: describe(in), Since: time.Unix(0, d.entry.Since),
		Reason: d.entry.Reason, Attempts: d.entry.Attempts, Held: d.entry.Held,
	}
	if d.entry.Braked {
		p.Reason = errBraked.Error()
	}
	if p.Reason == "" && d.wall != nil {
		p.Reason = d.wall.Error()
	}
	if d.entry.Retry != 0 {
		p.Retry = time.Unix(0, d.entry.Retry)
	}
	p.Size = pendingBytes(in)
	return p
}

func (e *Engine) transfer(d *dirtyInode, path string) Transfer {
	e.queue.mu.Lock()
	defer e.queue.mu.Unlock()
	return Transfer{Ino: d.ino, Path: path, Done: d.upload.done, Total: d.upload.total, Started: d.upload.started}
}

// describe says in a word how an inode differs.
func describe(in *tree.Inode) string {
	switch {
	case in.Removed:
		return "removed"
	case in.Pending.Has(tree.PendingCreate):
		return "new"
	case in.Pending.Has(tree.PendingContent):
		return "changed"
	case in.Pending.Has(tree.PendingPlace):
		return "moved"
	}
	return "attributes"
}
