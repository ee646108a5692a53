package writeback

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/megaclient/keymem"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// Engine is the writing half of megadisk for one account. All methods may be
// called from several goroutines at once.
type Engine struct {
	// Dependencies.
	log     logrus.FieldLogger
	tree    *tree.Tree
	staging *staging.Store
	keeper  keeper
	cache   *cache.Cache
	client  Cloud

	// Constant data.
	opts     Options     // without its StateKey
	stateKey *keymem.Key // protects all that is here
	times    Timings
	stop     context.Context // ends with Close
	end      context.CancelFunc
	jobs     sync.WaitGroup // committer, and Run
	uploads  sync.WaitGroup // uploads, which Run waits for

	// lane is held by whoever sends commands or fetches the tree: a channel of
	// one token, so that waiting for it can be interrupted.
	lane chan struct{}

	// interrupted are the files that were being written when an earlier run was killed.
	interrupted []tree.Ino

	// removals is held while the answer to a removal is applied, which may take several transactions, so that no event
	// brings the folder back in between.
	removals sync.Mutex

	// writeMu serialises the transactions of this package together with what
	// they change in memory; the tree's own writer lock lies below it.
	writeMu sync.Mutex
	seq     uint64    // GUARDED_BY(writeMu): last entry.Seq
	flight  *flight   // GUARDED_BY(writeMu): the batch without an answer
	echoes  echoIndex // GUARDED_BY(writeMu): our packets still to come
	sent    uint64    // GUARDED_BY(writeMu): commands sent, to order them
	dooms   dooms     // GUARDED_BY(writeMu): what is to be deleted for good
	spent   spent     // GUARDED_BY(writeMu): versions that are to be removed
	// nextDoom is when they are looked at again; the planner's.
	nextDoom time.Time

	filesMu sync.Mutex
	files   map[tree.Ino]*fileState // GUARDED_BY(filesMu): open or pinned
	mounts  map[any]bool            // GUARDED_BY(filesMu): kernels that know inodes
	// sessions are those that are over and have a version, and whose last content is still to be frozen.
	sessions map[tree.Ino]*session     // GUARDED_BY(filesMu)
	zombies  map[tree.Ino]map[any]bool // GUARDED_BY(filesMu): removed inodes, and who still knows them
	closed   bool                      // GUARDED_BY(filesMu)

	walls    walls
	queue    queue
	planner  planner
	restored []*generation // while opening: frozen by an earlier run

	keysMu sync.Mutex
	keys   map[string]tree.Ino // GUARDED_BY(keysMu): keys of creations in flight
	tags   map[string]int      // GUARDED_BY(keysMu): of our commands whose packets may come

	status   statusKeeper
	waiting  atomic.Int32 // writes that wait for room
	space    spaceKeeper
	rush     rush
	stream   streamState
	happened happened

	versions    atomic.Int32  // of versionsUnknown …
	askVersions chan struct{} // the setting may have changed
	spendSoon   chan struct{} // a version may be removed now
	keysSoon    chan struct{} // a share may be given keys now
}

// Tree gives the merged view: what is served.
func (e *Engine) Tree() *tree.Tree { return e.tree }

func (e *Engine) now() time.Time { return e.opts.Now() }

// isOpen is the tree's question whether a handle here is open on ino.
func (e *Engine) isOpen(ino tree.Ino) bool {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	return e.files[ino] != nil
}

// pendingKey is the tree's question whose creation a new node is. A node's key
// is a creation's identity, but for a copy, which shares it with its source:
// there parent and name belong to it.
func (e *Engine) pendingKey(key []byte, parent megaclient.Handle, name string) (tree.Ino, bool) {
	e.keysMu.Lock()
	defer e.keysMu.Unlock()
	ino, ok := e.keys[string(key)]
	if !ok {
		ino, ok = e.keys[copyKey(key, parent, name)]
	}
	return ino, ok
}

func copyKey(key []byte, parent megaclient.Handle, name string) string {
	return string(key) + "\x00" + string(parent) + "\x00" + name
}

// identity is what the node of a creation is known by.
func (it *item) identity() string {
	if it.Copy {
		return copyKey(it.Key, it.Parent, it.Name)
	}
	return string(it.Key)
}

func (e *Engine) setKeys(items []item, present bool) {
	e.keysMu.Lock()
	defer e.keysMu.Unlock()
	for _, it := range items {
		if len(it.Key) == 0 {
			continue
		}
		if present {
			e.keys[it.identity()] = it.Ino
		} else {
			delete(e.keys, it.identity())
		}
	}
}
