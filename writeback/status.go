package writeback

import (
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
	Fetched      bool      // a tree is here
	Offline      time.Time // since when the cloud doesn't answer; zero: it does
	SessionEnded bool      // log in again
	Blocked      string    // why the account is blocked; "" if it isn't
	Pending      []PendingChange
	Uploads      []Transfer
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

	mu         sync.Mutex
	ended      bool   // GUARDED_BY(mu)
	blockedWhy string // GUARDED_BY(mu)
	quota      megaclient.Quota
	quotaKnown bool
}

func (s *statusKeeper) init() {
	s.askQuota = make(chan struct{}, 1)
}

func (s *statusKeeper) wantQuota() { poke(s.askQuota) }

// online: the cloud has answered.
func (s *statusKeeper) online() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blockedWhy = ""
}

func (s *statusKeeper) sessionEnded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

func (s *statusKeeper) blocked(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blockedWhy = err.Error()
}

func (s *statusKeeper) setQuota(q megaclient.Quota) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota, s.quotaKnown = q, true
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
	e.status.mu.Lock()
	s.SessionEnded, s.Blocked = e.status.ended, e.status.blockedWhy
	s.Quota, s.QuotaKnown = e.status.quota, e.status.quotaKnown
	e.status.mu.Unlock()
	for _, d := range e.queue.snapshot() {
		in, err := e.tree.Get(d.ino)
		if err != nil {
			continue
		}
		path, err := e.tree.Path(d.ino)
		if err != nil {
			path = in.Name
		}
		s.Pending = append(s.Pending, pendingChange(&d, &in, path))
		if d.upload != nil {
			s.Uploads = append(s.Uploads, e.transfer(&d, path))
		}
	}
	return s
}

func pendingChange(d *dirtyInode, in *tree.Inode, path string) PendingChange {
	p := PendingChange{
		Ino: d.ino, Path: path, What: describe(in), Since: time.Unix(0, d.entry.Since),
		Reason: d.entry.Reason, Attempts: d.entry.Attempts, Held: d.entry.Held,
	}
	if d.entry.Retry != 0 {
		p.Retry = time.Unix(0, d.entry.Retry)
	}
	if !in.Removed && in.Kind == tree.File && in.Pending.Has(tree.PendingCreate|tree.PendingContent) {
		p.Size = in.Size
	}
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

// FileState tells in a word where an inode's changes are (user.mega.state):
// "synced", "uploading", "refused: WHY", "held", or how it differs.
func (e *Engine) FileState(ino tree.Ino) (string, error) {
	in, err := e.tree.Get(ino)
	if err != nil {
		return "", err
	}
	state := "synced"
	e.queue.with(ino, func(d *dirtyInode) {
		switch {
		case d.entry.Held:
			state = "held"
		case d.upload != nil:
			state = "uploading"
		case d.entry.Reason != "":
			state = "refused: " + d.entry.Reason
		default:
			state = describe(&in)
		}
	})
	return state, nil
}
