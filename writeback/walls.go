package writeback

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// A wall is a refusal that meets not one change but all of a kind, and that
// only somebody's act takes away: storage that is full, a share that became
// read-only. While it stands nothing is asked that would meet it, and programs
// are told at once. It falls when a change got through, when the account has
// room again, and after Retry; and when it is old, one change may try it.
type wall struct {
	why   error
	rest  time.Duration // between two tries
	until time.Time     // of the next
	scout tree.Ino      // who tries, 0: nobody yet
	need  int64         // files of at least this size meet it
}

type wallClass uint8

const (
	wallFull     wallClass = iota + 1 // stops content
	wallReadOnly                      // stops everything
)

// wallKey is a class, and where: below the root of an incoming share, or, 0,
// in what is the account's own.
type wallKey struct {
	class wallClass
	share tree.Ino
}

// walls are those that stand. Its lock is a leaf.
type walls struct {
	any atomic.Bool // so that asking costs nothing while none stands

	mu       sync.Mutex
	standing map[wallKey]*wall // GUARDED_BY(mu)
	// trusted is how much the account had free when that took a wall down, or
	// the least since: should one stand again, only more does.
	trusted int64 // GUARDED_BY(mu)
}

func (w *walls) put(key wallKey, built wall) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.standing == nil {
		w.standing = map[wallKey]*wall{}
	}
	w.standing[key] = &built
	w.any.Store(true)
}

// drop takes walls down that fn tells; true if there were any.
func (w *walls) drop(fn func(wallKey, *wall) bool) (fell bool) {
	if !w.any.Load() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, at := range w.standing {
		if fn(key, at) {
			delete(w.standing, key)
			fell = true
		}
	}
	w.any.Store(len(w.standing) > 0)
	return fell
}

// meets tells what stops content of a size (below 0: something else) in a
// share, and until when; nil: nothing. Of those that may try an old wall, only
// the first does.
func (w *walls) meets(share, who tree.Ino, size int64, now time.Time) (until time.Time, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, class := range []wallClass{wallReadOnly, wallFull} {
		at := w.standing[wallKey{class, share}]
		if at == nil || (class == wallFull && (size < 0 || size < at.need)) {
			continue
		}
		if who != 0 && !now.Before(at.until) {
			at.scout, at.until = who, now.Add(at.rest)
		}
		if who != 0 && at.scout == who {
			continue
		}
		return at.until, at.why
	}
	return time.Time{}, nil
}

// list gives the reasons of all walls.
func (w *walls) list() (why []error) {
	if !w.any.Load() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.standing {
		why = append(why, at.why)
	}
	return why
}

// storable tells a program at once that what it is about to make or write
// can't be stored: ErrFull, ErrCloudReadOnly. size is what the file would have,
// below 0 if it is none; ino may be the folder that it is made in.
func (e *Engine) storable(ino tree.Ino, size int64) error {
	if e.queue.halted(haltBlocked) != nil {
		return ErrCloudReadOnly
	}
	if !e.walls.any.Load() {
		return nil
	}
	share, err := e.tree.ShareAround(ino)
	if err != nil {
		return nil // whoever asks will find out himself
	}
	_, why := e.walls.meets(share, 0, size, e.now())
	return why
}

// raise puts up the wall that the refusal of a change speaks of; false: it
// speaks of none.
func (e *Engine) raise(in *tree.Inode, share tree.Ino, why, worded error) bool {
	built := wall{why: worded, rest: e.times.RetryWall, until: e.now().Add(e.times.RetryWall)}
	var class wallClass
	switch {
	case isFull(why):
		class = wallFull
		if errors.Is(why, megaclient.EGOINGOVERQUOTA) { // smaller ones may fit
			built.need = in.Size
		}
		e.status.wantQuota()
	case errors.Is(why, megaclient.EBUSINESSPASTDUE), share != 0 && errors.Is(why, megaclient.EACCESS):
		class = wallReadOnly
	default:
		return false
	}
	e.walls.put(wallKey{class, share}, built)
	return true
}

// roomAgain takes down the wall of a full account that has room after all.
func (e *Engine) roomAgain(free int64) {
	w := &e.walls
	w.mu.Lock()
	more := free > w.trusted
	w.trusted = min(w.trusted, free)
	w.mu.Unlock()
	fell := more && e.dropWalls(func(key wallKey, at *wall) bool {
		return key == wallKey{class: wallFull} && free >= at.need
	})
	if fell {
		w.mu.Lock()
		w.trusted = free
		w.mu.Unlock()
	}
}

// passedWall takes down what a change has just got through.
func (e *Engine) passedWall(ino tree.Ino) {
	if !e.walls.any.Load() {
		return
	}
	if share, err := e.tree.ShareAround(ino); err == nil {
		e.dropWalls(func(key wallKey, at *wall) bool { return key.share == share && at.scout == ino })
	}
}

// dropWalls takes down those that fn tells; true if there were any. What
// waited for them is decided anew, and by nobody who has seen them standing.
func (e *Engine) dropWalls(fn func(wallKey, *wall) bool) bool {
	e.planner.mu.Lock()
	defer e.planner.mu.Unlock()
	fell := e.walls.drop(fn)
	if fell {
		e.queue.wallsFell()
	}
	return fell
}

// isFull tells the refusals for want of storage. The transfer quota is another
// matter.
func isFull(err error) bool {
	var transfer *megaclient.OverQuotaError
	return !errors.As(err, &transfer) && (errors.Is(err, megaclient.EOVERQUOTA) ||
		errors.Is(err, megaclient.EGOINGOVERQUOTA) || errors.Is(err, megaclient.EPAYWALL))
}

// Retry asks the cloud at once for everything that it has refused.
func (e *Engine) Retry() {
	e.dropWalls(func(wallKey, *wall) bool { return true })
	e.queue.unhalt(haltBlocked)
	e.queue.retryAll()
	e.stream.retry()
}
