package writeback

import (
	"context"
	"encoding/binary"
	"path"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"megadisk/writeback/tree"
)

// What happened to files, for people who want to look it up: rows of the state, so encrypted like everything in it, and
// only the last ones.

// maxHappenings bounds how many are kept.
const maxHappenings = 10_000

// What can happen to a file or folder.
const (
	Uploaded          = "uploaded" // it, or a new version of it, is in the cloud
	Made              = "made"     // the folder is in the cloud
	Moved             = "moved"    // its new name or place is
	Removed           = "removed"  // it is in the bin, or gone for good
	Refused           = "refused"  // the cloud didn't take it
	Conflicted        = "conflict" // it was changed here and elsewhere: what is from here has this name now
	Restored          = "restored"
	DeletedElsewhere  = "deleted elsewhere"
	ReplacedElsewhere = "replaced elsewhere"
)

// Happening is something that happened to a file or folder.
type Happening struct {
	Seq  uint64 `cbor:"-"` // later ones have larger numbers
	Time int64  `cbor:"1,keyasint,omitempty"`
	What string `cbor:"2,keyasint,omitempty"`
	Path string `cbor:"3,keyasint,omitempty"`
	More string `cbor:"4,keyasint,omitempty"` // why, from where, or which name it had
}

// happened tells when there is a new one. Its lock is a leaf.
type happened struct {
	mu   sync.Mutex
	last uint64        // GUARDED_BY(mu): number of the last one that is committed
	news chan struct{} // GUARDED_BY(mu): closed and renewed with each
}

func (h *happened) state() (last uint64, news <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last, h.news
}

func (h *happened) set(last uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = last
	if h.news != nil {
		close(h.news)
	}
	h.news = make(chan struct{})
}

func happeningKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{rowPrefix, rowHappened}, seq)
}

// tell writes down what happened, as part of the change itself.
func (c *change) tell(what, at, more string) error {
	if c.told == 0 {
		c.told, _ = c.e.happened.state()
		c.after = append(c.after, func() { c.e.happened.set(c.told) })
	}
	c.told++
	if c.told > maxHappenings {
		if err := c.b.Delete(happeningKey(c.told - maxHappenings)); err != nil {
			return err
		}
	}
	return putRow(c.b, happeningKey(c.told), Happening{Time: c.e.now().UnixNano(), What: what, Path: at, More: more})
}

// tellOf is tell for an inode, by the place where it is, or was.
func (c *change) tellOf(ino tree.Ino, what, more string) error {
	at, err := c.Path(ino)
	if err != nil {
		var known bool
		if at, known = c.FormerPath(ino); !known {
			return nil
		}
	}
	return c.tell(what, at, more)
}

// tellSettled writes down what the cloud has done for us.
func (c *change) tellSettled(f *flight, i int, in *tree.Inode, it item) error {
	switch it.Kind {
	case itemFolder:
		return c.tellOf(it.Ino, Made, "")
	case itemFile:
		return c.tellOf(it.Ino, Uploaded, "")
	case itemTrash:
		return c.tellRemoved(it, "to the bin")
	case itemDelete:
		return c.tellRemoved(it, "for good")
	}
	more := i+1 < len(f.Items) && f.Items[i+1].Ino == it.Ino // a move, of which the new name is a part
	if more || !in.Pending.Has(tree.PendingPlace) {
		return nil
	}
	return c.tellOf(it.Ino, Moved, "")
}

// tellRemoved is told by the place where it was: its own packet may have moved it to the bin already.
func (c *change) tellRemoved(it item, more string) error {
	folder, known := c.FormerPath(it.LocalParent)
	if !known {
		return nil
	}
	return c.tell(Removed, path.Join(folder, it.LocalName), more)
}

// note writes down what happened beside any change. Nothing depends on it: what fails is only logged.
func (e *Engine) note(ctx context.Context, list ...Happening) {
	err := e.update(ctx, func(c *change) error {
		for _, h := range list {
			if err := c.tell(h.What, h.Path, h.More); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !isCancel(ctx, err) {
		e.log.WithError(err).Warn("what happened to a file could not be written down")
	}
}

// noteChanges writes down what the cloud did to what is here.
func (e *Engine) noteChanges(changes []tree.Change) {
	var list []Happening
	for _, ch := range changes {
		switch {
		case ch.Lost != nil && ch.Origin == nil && ch.Lost.Replaced:
			list = append(list, Happening{What: ReplacedElsewhere, Path: ch.Lost.Path})
		case ch.Lost != nil && ch.Origin == nil:
			list = append(list, Happening{What: DeletedElsewhere, Path: ch.Lost.Path})
		case ch.Conflict != "":
			if at, err := e.tree.Path(ch.Ino); err == nil {
				list = append(list, Happening{What: Conflicted, Path: at, More: ch.Conflict})
			}
		}
	}
	if len(list) > 0 {
		e.note(e.stop, list...)
	}
}

// replayHappened finds the last one of the runs before.
func (e *Engine) replayHappened(b *badger.Txn) error {
	prefix := []byte{rowPrefix, rowHappened}
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.Reverse, opts.PrefetchValues = prefix, true, false
	it := b.NewIterator(opts)
	defer it.Close()
	last := uint64(0)
	if it.Seek(append(prefix, 0xff)); it.Valid() {
		last = binary.BigEndian.Uint64(it.Item().Key()[len(prefix):])
	}
	e.happened.set(last)
	return nil
}

// LastHappening is the number of the last one.
func (e *Engine) LastHappening() uint64 {
	last, _ := e.happened.state()
	return last
}

// Happenings gives what happened after the one with that number, the oldest first, and at most so many.
func (e *Engine) Happenings(after uint64, most int) (list []Happening, err error) {
	err = e.tree.View(func(tx *tree.Tx) error {
		opts := badger.DefaultIteratorOptions
		opts.Prefix = []byte{rowPrefix, rowHappened}
		it := tx.Badger().NewIterator(opts)
		defer it.Close()
		for it.Seek(happeningKey(after + 1)); it.Valid() && len(list) < most; it.Next() {
			h := Happening{Seq: binary.BigEndian.Uint64(it.Item().Key()[len(opts.Prefix):])}
			if err := it.Item().Value(func(raw []byte) error { return decodeRow(raw, &h) }); err != nil {
				return err
			}
			list = append(list, h)
		}
		return nil
	})
	return list, err
}

// AwaitHappening returns when there is something after the one with that number, or d is over.
func (e *Engine) AwaitHappening(ctx context.Context, after uint64, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		last, news := e.happened.state()
		if last > after {
			return nil
		}
		select {
		case <-news:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.stop.Done():
			return ErrClosed
		}
	}
}
