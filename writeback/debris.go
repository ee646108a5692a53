package writeback

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"sync"
	"time"

	"megadisk/cache"
	"megadisk/writeback/debris"
	"megadisk/writeback/tree"
)

// What somebody else deletes or overwrites, and what was here whole, goes to
// the debris: a copy is made of it while it still is in the cache. It is never
// fetched for that. The copying follows the tree's changes, so that it holds
// nothing up.

const (
	labelDebris   = "megadisk debris v1"
	debrisDir     = "debris"
	debrisWaiting = 10_000  // contents that may wait to be copied; more are passed over
	debrisNoDisk  = 1 << 30 // bytes that may be kept where the cache's size is no measure
	debrisShare   = 10      // else a tenth of that
)

// keeper copies lost content to the debris.
type keeper struct {
	store *debris.Store
	wake  chan struct{}

	mu      sync.Mutex
	waiting []tree.Lost   // GUARDED_BY(mu)
	busy    bool          // GUARDED_BY(mu)
	changed chan struct{} // GUARDED_BY(mu): closed and renewed when all has been seen to
}

func (e *Engine) openDebris() (err error) {
	limit := int64(debrisNoDisk)
	if e.cache != nil {
		if have := e.cache.Stats().DiskLimit; have > 0 {
			limit = have / debrisShare
		}
	}
	e.keeper.wake, e.keeper.changed = make(chan struct{}, 1), make(chan struct{})
	e.keeper.store, err = debris.Open(debris.Options{
		Dir: filepath.Join(e.opts.Dir, debrisDir), Key: e.subkey(labelDebris), Limit: limit, Log: e.log, Now: e.now,
	})
	return err
}

// lost takes note of what a change of the cloud took away.
func (k *keeper) lost(l tree.Lost) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.waiting) < debrisWaiting {
		k.waiting = append(k.waiting, l)
		poke(k.wake)
	}
}

func (k *keeper) next() (l tree.Lost, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy = len(k.waiting) > 0; !k.busy {
		close(k.changed)
		k.changed = make(chan struct{})
		return l, false
	}
	l = k.waiting[0]
	k.waiting = k.waiting[1:]
	return l, true
}

// idle waits until all that was lost so far has been seen to.
func (k *keeper) idle(ctx context.Context) error {
	for {
		k.mu.Lock()
		done, changed := len(k.waiting) == 0 && !k.busy, k.changed
		k.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// debrisLoop keeps what is lost until ctx ends, and looks once a day what is
// too old.
func (e *Engine) debrisLoop(ctx context.Context) {
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := e.keeper.store.Expire(); err != nil {
				e.log.WithError(err).Warn("some debris could not be removed")
			}
		case <-e.keeper.wake:
			for ctx.Err() == nil {
				l, more := e.keeper.next()
				if !more {
					break
				}
				if l.Below != 0 {
					e.keepBelow(ctx, l)
				} else {
					e.keep(ctx, l)
				}
			}
		}
	}
}

// keepBelow keeps what is in a folder that went to the bin.
func (e *Engine) keepBelow(ctx context.Context, l tree.Lost) {
	for after := ""; ctx.Err() == nil; {
		rows, err := e.tree.ReadDir(l.Below, after, 1000)
		if err != nil && !isGone(err) {
			e.log.WithError(err).Warn("not all that was in a folder that was deleted elsewhere could be kept")
		}
		if err != nil || len(rows) == 0 {
			return
		}
		for _, in := range rows {
			at := path.Join(l.Path, in.Name)
			switch {
			case in.Kind == tree.Dir:
				e.keepBelow(ctx, tree.Lost{Path: at, Below: in.Ino})
			case in.Base.Handle != "" && !in.Pending.Has(tree.PendingContent):
				e.keep(ctx, tree.Lost{Path: at, Base: in.Base, Mtime: in.Mtime})
			}
			after = in.Name
		}
	}
}

// keep copies one content, if all of it is here.
func (e *Engine) keep(ctx context.Context, l tree.Lost) {
	f, err := cacheFile(l.Base)
	if err != nil || e.cache == nil || f.Size == 0 {
		return
	}
	st := e.cache.State(f)
	if st.Cached < f.Size || st.Quarantined || e.room() != nil {
		return
	}
	why := debris.Deleted
	if l.Replaced {
		why = debris.Replaced
	}
	r := e.cache.NewReader(f)
	defer r.Close()
	_, err = e.keeper.store.Add(debris.Info{Path: l.Path, Size: f.Size, Mtime: l.Mtime, Why: why},
		func(p []byte, off int64) (int, error) { return r.ReadAt(ctx, p, off) })
	if err != nil && !errors.Is(err, debris.ErrTooLarge) && ctx.Err() == nil {
		e.log.WithError(withoutContent(err)).Warn("content that was deleted elsewhere could not be kept")
	}
}

// withoutContent is an error of the cache as far as it may stand in a log.
func withoutContent(err error) error {
	var fetch *cache.FetchError
	if errors.As(err, &fetch) {
		return fetch.Err
	}
	return err
}

// Debris lists the kept copies of what was deleted or overwritten elsewhere,
// the oldest first.
func (e *Engine) Debris() []debris.Item { return e.keeper.store.List() }

// DropDebris removes a copy. Errors: debris.ErrNoItem.
func (e *Engine) DropDebris(id string) error { return e.keeper.store.Remove(id) }

// ClearDebris removes all copies, and gives their number.
func (e *Engine) ClearDebris() (int, error) { return e.keeper.store.Clear() }

// RestoreDebris makes a file of a copy: where it was, if that folder is there,
// else at the top of the drive; or in a folder that is given. Where the name is
// taken it gets another one. It gives the path; the copy then goes. Errors:
// debris.ErrNoItem, debris.ErrDamaged, and those of Create.
func (e *Engine) RestoreDebris(ctx context.Context, id string, to tree.Ino) (string, error) {
	r, err := e.keeper.store.Reader(id)
	if err != nil {
		return "", err
	}
	defer r.Close()
	dir, name := path.Split(r.Path)
	if to == 0 {
		if to, err = e.tree.Resolve(dir); err != nil {
			to = tree.DriveIno
		}
	}
	if name, err = e.freeName(to, name); err != nil {
		return "", err
	}
	in, err := e.Create(ctx, to, name, 0o644)
	if err != nil {
		return "", err
	}
	if err := e.ReplaceContent(ctx, in.Ino, r.Size, r.ReadAt); err != nil {
		return "", errors.Join(fmt.Errorf("restoring: %w", err), e.Unmake(ctx, in.Ino))
	}
	mtime := time.Unix(0, r.Mtime)
	if _, err := e.SetAttr(ctx, in.Ino, Attr{Mtime: &mtime}); err != nil {
		return "", err
	}
	if err := e.syncAll(ctx); err != nil {
		return "", err
	}
	if err := e.DropDebris(id); err != nil {
		return "", err
	}
	at, err := e.tree.Path(in.Ino)
	if err == nil {
		e.note(ctx, Happening{What: Restored, Path: at, More: "from debris"})
	}
	return at, err
}

// freeName gives a name that is free in a folder.
func (e *Engine) freeName(dir tree.Ino, name string) (free string, err error) {
	err = e.tree.View(func(tx *tree.Tx) error {
		free = name
		if _, err := tx.Lookup(dir, name); err == nil {
			free, err = tx.ConflictName(dir, name)
			return err
		} else if !errors.Is(err, tree.ErrNotFound) {
			return err
		}
		return nil
	})
	return free, err
}
