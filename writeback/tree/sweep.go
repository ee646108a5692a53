package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"megadisk/megaclient"

	"github.com/dgraph-io/badger/v4"
)

// The sweeper does, in steps of one bounded transaction each, what a removal of a folder or the arrival
// of a parent left: rows 's' and 'q'. A crash repeats at most a step. It is the tree's one goroutine
// that writes.
type sweeper struct {
	t      *Tree
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // of capacity 1
	done   chan struct{}
	failed map[string]bool // what was tried in vain since it was woken; of run alone

	mu     sync.Mutex
	idle   bool          // GUARDED_BY(mu)
	rested chan struct{} // GUARDED_BY(mu): closed when idle
}

// sweepAtOnce is how many entries one step takes.
const sweepAtOnce = 200

func newSweeper(t *Tree) *sweeper {
	ctx, cancel := context.WithCancel(context.Background())
	s := &sweeper{t: t, ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1), done: make(chan struct{}), failed: map[string]bool{}, rested: make(chan struct{})}
	go s.run()
	return s
}

func (s *sweeper) close() {
	s.cancel()
	<-s.done
}

// kick says that there is work.
func (s *sweeper) kick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle {
		s.idle, s.rested = false, make(chan struct{})
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sweeper) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wake) == 0 && !s.idle {
		s.idle = true
		close(s.rested)
	}
}

func (s *sweeper) run() {
	defer close(s.done)
	for {
		more, err := s.step()
		if err != nil && !errors.Is(err, ErrClosed) && s.ctx.Err() == nil {
			s.t.log.WithError(err).Error("sweeping the tree; it is tried again with the next change")
		}
		if more {
			continue
		}
		s.rest()
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
			clear(s.failed)
		}
	}
}

// Settled returns when nothing is left to sweep.
func (t *Tree) Settled(ctx context.Context) error {
	t.sweeper.mu.Lock()
	rested := t.sweeper.rested
	t.sweeper.mu.Unlock()
	select {
	case <-rested:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.sweeper.done:
		return ErrClosed
	}
}

// sweepLater leaves the entries of a folder whose node is gone to the sweep.
func (tx *Tx) sweepLater(dir Ino, h megaclient.Handle) error {
	tx.kick = true
	path := ""
	if e, err := tx.peek(dir); err == nil {
		path, _ = tx.formerPath(e)
	}
	return tx.set(inoKey(rowSweep, dir), sweepRow{Handle: h, Path: path})
}

// step does one piece of work; more says that there may be another. One for which something can't be read is passed over,
// and holds up no other of its kind.
func (s *sweeper) step() (more bool, err error) {
	work, err := s.next()
	if err != nil || work == nil {
		return false, err
	}
	err = s.t.Update(s.ctx, func(tx *Tx) error {
		if work[0] == rowAdopt {
			return tx.adoptRow(megaclient.Handle(work[1:]))
		}
		return tx.sweepDir(inoOf(work))
	})
	if err != nil {
		s.failed[string(work)] = true
		return errors.Is(err, ErrCorrupt), fmt.Errorf("sweeping: %w", err)
	}
	return true, nil
}

// next finds the row of a piece of work; nil: there is none. While a parent's orphans can't be adopted nothing is swept:
// they may lie in a folder that is gone.
func (s *sweeper) next() (work []byte, err error) {
	waits := false
	find := func(item *badger.Item) (bool, error) {
		if s.failed[string(item.Key())] {
			waits = true
			return true, nil
		}
		work = item.KeyCopy(nil)
		return false, nil
	}
	err = s.t.View(func(tx *Tx) error {
		if err := tx.scan([]byte{rowAdopt}, []byte{rowAdopt}, find); err != nil || work != nil || waits {
			return err
		}
		return tx.scan([]byte{rowSweep}, []byte{rowSweep}, find)
	})
	return work, err
}

// adoptRow goes on with a parent's orphans.
func (tx *Tx) adoptRow(h megaclient.Handle) error {
	left := adoptAtOnce
	done, err := tx.adoptSome(h, &left)
	if err == nil && done {
		err = tx.del(textKey(rowAdopt, string(h)))
	}
	return err
}

// sweepDir removes some of what was in a folder whose node is gone, if it is still there.
func (tx *Tx) sweepDir(dir Ino) error {
	k := inoKey(rowSweep, dir)
	var r sweepRow
	ok, err := tx.row(k, &r)
	if err != nil || !ok {
		return err
	}
	if r.Bin {
		done, err := tx.takeOutBelow(dir)
		if err == nil && done {
			err = tx.del(k)
		}
		return err
	}
	if r.After == "" {
		if done, err := tx.sweepAway(r.Handle, dir); err != nil || !done {
			return err
		}
	}
	list, err := tx.sweepList(dir, r.After)
	if err != nil {
		return err
	}
	for i, one := range list {
		if i == sweepAtOnce || tx.Full() {
			return tx.set(k, r)
		}
		if err := tx.sweepEntry(dir, r.Handle, one.ino); err != nil {
			return err
		}
		r.After = cmp.Or(one.name, r.After)
	}
	return tx.del(k)
}

type namedIno struct {
	name string
	ino  Ino
}

// sweepList gives one inode more than a step takes of those in a folder: the nameless ones, which all
// go, and then those whose entries come after a name.
func (tx *Tx) sweepList(dir Ino, after string) (list []namedIno, err error) {
	nameless, err := tx.nameless(dir, sweepAtOnce+1)
	if err != nil {
		return nil, err
	}
	for _, ino := range nameless {
		list = append(list, namedIno{ino: ino})
	}
	err = tx.eachEntry(dir, after, func(name string, ino Ino) (bool, error) {
		list = append(list, namedIno{name, ino})
		return len(list) <= sweepAtOnce, nil
	})
	return list, err
}

// sweepEntry removes one inode that was in a folder whose node is gone.
func (tx *Tx) sweepEntry(dir Ino, gone megaclient.Handle, ino Ino) error {
	in, err := tx.peek(ino)
	if isStale(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if in.Parent != dir || in.Removed || in.Cloud == nil {
		return nil
	}
	if in.Cloud.Parent != gone && in.Pending.Has(PendingPlace) {
		err := tx.undoMove(ino)
		if err == nil || !errors.Is(err, ErrCircular) {
			return err
		}
	}
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	if err := tx.removeNode(e); err != nil || e.Removed {
		return err
	}
	return tx.keepFolder(dir, maxDepth)
}

// sweepAway removes what the cloud had in a folder that is gone, and what was moved out or removed here;
// done says that it took all.
func (tx *Tx) sweepAway(gone megaclient.Handle, dir Ino) (done bool, err error) {
	var list []Ino
	err = tx.eachPending(func(in *Inode) error {
		if in.Cloud != nil && in.Cloud.Parent == gone && (in.Parent != dir || in.Removed) {
			list = append(list, in.Ino)
		}
		return nil
	})
	for i := 0; i < len(list) && err == nil; i++ {
		if i == sweepAtOnce || tx.Full() {
			return false, nil
		}
		var e *Inode
		if e, err = tx.edit(list[i]); err == nil {
			err = tx.removeNode(e)
		}
	}
	return err == nil, err
}
