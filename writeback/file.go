package writeback

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"megadisk/cache"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// fileState is what is known in memory of a file that is open, or that is
// being changed, frozen or acknowledged. All handles share it. It is there
// from the first handle (or pin) to the last; without it the rows say all.
type fileState struct {
	ino tree.Ino

	refs     int  // GUARDED_BY(Engine.filesMu): handles and pins
	leftOver bool // GUARDED_BY(Engine.filesMu): rows of it may be left over when nobody holds it any more

	mu      sync.Mutex
	m       *staging.Map // GUARDED_BY(mu): what is staged
	base    tree.Base    // GUARDED_BY(mu): where the rest comes from
	size    int64        // GUARDED_BY(mu): bytes
	mtime   int64        // GUARDED_BY(mu): Unix ns
	exact   bool         // GUARDED_BY(mu): a program set mtime (tree.Inode.Exact)
	atime   int64        // GUARDED_BY(mu): Unix ns, to be committed; 0: as in the row
	ctime   int64        // GUARDED_BY(mu): Unix ns
	chmod   *uint32      // GUARDED_BY(mu): the mode to be committed; nil: the row has it
	owner   staging.Owner
	writers int // GUARDED_BY(mu): handles open for writing
	// INVARIANT: base.Limit <= size, and nothing is staged at or beyond size.

	dirty     bool             // GUARDED_BY(mu): rows don't have all of the above
	content   bool             // GUARDED_BY(mu): part of that is content, not only mtime
	marked    bool             // GUARDED_BY(mu): the row says PendingContent or PendingCreate
	session   *session         // GUARDED_BY(mu): since the first handle was opened for writing
	whole     bool             // GUARDED_BY(mu): the commit of now is one of a close or fsync
	half      bool             // GUARDED_BY(mu): the journal says that the content was stored while it was being written
	cut       bool             // GUARDED_BY(mu): truncated since the last commit
	turning   bool             // GUARDED_BY(mu): there may be next rows of its regions (next.go); then it is dirty
	unsaved   int64            // GUARDED_BY(mu): bytes staged since the last commit
	garbage   []staging.Extent // GUARDED_BY(mu): no longer in m, still in rows
	lastWrite time.Time        // GUARDED_BY(mu)
	lastFroze time.Time        // GUARDED_BY(mu)
	emptied   time.Time        // GUARDED_BY(mu): truncated to 0, and not written since
	gen       *generation      // GUARDED_BY(mu): being uploaded; its Limit follows truncations
}

// File is one open handle.
type File struct {
	e          *Engine
	st         *fileState
	write      bool
	mismatches int64 // of the cache when it was opened: from then on the kernel may give it bytes that came for others

	mu      sync.Mutex
	readers map[baseID]*cache.Reader // GUARDED_BY(mu): one a base, until Release
	closed  bool                     // GUARDED_BY(mu)
}

func (e *Engine) newFile(st *fileState, write bool) *File {
	return &File{
		e: e, st: st, write: write, mismatches: e.cache.Stats().Mismatches, readers: map[baseID]*cache.Reader{},
	}
}

// Open opens a file. Errors: tree.ErrStale, tree.ErrIsDir, and for writing those
// of tree.Tx.MayWrite.
func (e *Engine) Open(ctx context.Context, ino tree.Ino, write, truncate bool) (*File, error) {
	if write || truncate {
		if err := e.tree.MayWrite(ino); err != nil {
			return nil, err
		}
	}
	st, err := e.pin(ino)
	if err != nil {
		return nil, err
	}
	f := e.newFile(st, write)
	if write {
		st.mu.Lock()
		if st.writers++; st.writers == 1 {
			e.beginSession(st)
		}
		st.mu.Unlock()
	}
	if truncate {
		st.mu.Lock()
		err = e.resizeLocked(ctx, st, 0)
		st.mu.Unlock()
		if err != nil {
			f.Release()
			return nil, err
		}
	}
	return f, nil
}

// Ino gives the number of the inode.
func (f *File) Ino() tree.Ino { return f.st.ino }

// Inode gives the inode with the size and mtime of what was written so far.
func (f *File) Inode() (tree.Inode, error) { return f.e.Stat(f.st.ino) }

// Release closes the handle; it must not be used afterwards. What was written
// and not flushed is committed.
func (f *File) Release() {
	f.mu.Lock()
	done := f.closed
	f.closed = true
	readers := f.readers
	f.readers = nil
	f.mu.Unlock()
	if done {
		return
	}
	for _, r := range readers {
		r.Close()
	}
	f.st.mu.Lock()
	if f.write {
		if f.st.writers--; f.st.writers == 0 {
			f.e.endSession(f.st)
		}
	}
	f.st.mu.Unlock()
	f.e.unpin(f.st)
	if f.write {
		f.e.queue.mark(f.st.ino)
	}
}

// pin gives the state of a file and keeps it until unpin.
func (e *Engine) pin(ino tree.Ino) (*fileState, error) {
	e.filesMu.Lock()
	closed := e.closed
	e.filesMu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	return e.pinEvenClosed(ino)
}

// pinEvenClosed is pin for what must still be done while the engine closes.
func (e *Engine) pinEvenClosed(ino tree.Ino) (*fileState, error) {
	if st := e.pinLoaded(ino); st != nil {
		return st, nil
	}
	// The event loop changes rows of files without state: the row is read, and
	// the state becomes visible to it, with no transaction between.
	e.writeMu.Lock()
	defer e.writeMu.Unlock()
	if st := e.pinLoaded(ino); st != nil {
		return st, nil
	}
	st, err := e.loadFile(ino)
	if err != nil {
		return nil, err
	}
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	e.files[ino] = st
	return st, nil
}

// pinLoaded pins a state that is there; nil if there is none.
func (e *Engine) pinLoaded(ino tree.Ino) *fileState {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	st := e.files[ino]
	if st != nil {
		st.refs++
	}
	return st
}

func (e *Engine) loadFile(ino tree.Ino) (*fileState, error) {
	st := &fileState{ino: ino, refs: 1, m: &staging.Map{}}
	var in tree.Inode
	err := e.tree.View(func(tx *tree.Tx) (err error) {
		if in, err = tx.Get(ino); err != nil {
			return err
		}
		if in.Removed || in.Pending.Has(tree.PendingContent|tree.PendingCreate) {
			return loadMap(tx.Badger(), rowExtents, ino, st.m)
		}
		return st.leaveBehind(tx.Badger())
	})
	if err != nil {
		return nil, err
	}
	if in.Kind != tree.File {
		return nil, tree.ErrIsDir
	}
	st.base, st.size, st.mtime, st.exact, st.ctime = in.Base, in.Size, in.Mtime, in.Exact, in.Ctime
	st.marked = in.Pending&(tree.PendingContent|tree.PendingCreate) != 0
	st.gen = e.queue.generation(ino)
	st.lastWrite = e.now()
	st.owner = staging.Owner{Ino: uint64(ino), Base: string(in.Base.Handle)}
	if path, err := e.tree.Path(ino); err == nil {
		st.owner.Path = path
	} else {
		st.owner.Path = in.Name
	}
	return st, nil
}

// leaveBehind takes note of rows with staged bytes that aren't the file's
// content any more: the next commit removes them. What an edit left whose file
// was removed here, and came back by a change elsewhere, is such.
func (st *fileState) leaveBehind(b *badger.Txn) error {
	old := &staging.Map{}
	if err := loadMap(b, rowExtents, st.ino, old); err != nil {
		return err
	}
	if st.garbage = old.Extents(); len(st.garbage) > 0 {
		st.m.MarkRegions(old.Regions())
		st.dirty = true
	}
	return nil
}

// unpin lets go of the state. The last one commits what is left and drops it.
func (e *Engine) unpin(st *fileState) {
	for {
		e.filesMu.Lock()
		last := st.refs == 1
		if !last {
			st.refs--
		}
		e.filesMu.Unlock()
		if !last {
			return
		}
		st.mu.Lock()
		err := e.commitWholeLocked(context.Background(), st)
		st.mu.Unlock()
		if err != nil && !errors.Is(err, tree.ErrStale) {
			e.log.WithError(err).Error("committing a closed file; its state is kept in memory")
			e.abandon(st)
			return
		}
		if e.dropIfIdle(st) {
			return
		}
	}
}

// abandon leaves a state that can't be committed to nobody. It stays, and its file counts as open, until it can be: the
// committer, or whoever else holds it next, drops it then.
func (e *Engine) abandon(st *fileState) {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	st.refs--
}

// dropIfIdle gives up the last reference, unless somebody came meanwhile.
func (e *Engine) dropIfIdle(st *fileState) bool {
	gone, dead, rows := false, false, false
	st.mu.Lock()
	e.filesMu.Lock()
	idle := !st.dirty // both locks: who came meanwhile may have written, and left again
	if idle {
		st.refs--
		if gone = st.refs == 0; gone {
			delete(e.files, st.ino)
		}
		_, dead = e.zombies[st.ino]
		rows = gone && st.leftOver
	}
	e.filesMu.Unlock()
	st.mu.Unlock()
	if gone && dead {
		e.buryIfUnknown(st.ino)
	}
	if rows {
		e.clearLater(rowExtents, st.ino)
	}
	return idle
}

// Stat gives the tree's row with the size and mtime of writes that aren't in
// it yet.
func (e *Engine) Stat(ino tree.Ino) (tree.Inode, error) {
	in, err := e.tree.Get(ino)
	if err != nil {
		return in, err
	}
	return e.Fresh(in), nil
}

// Fresh adds to an inode that was just read from the tree what writes through open handles have changed.
func (e *Engine) Fresh(in tree.Inode) tree.Inode {
	e.filesMu.Lock()
	st := e.files[in.Ino]
	e.filesMu.Unlock()
	if st == nil {
		return in
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	in.Size, in.Base = st.size, st.base
	if st.dirty {
		in.Mtime, in.Exact = st.mtime, st.exact
		in.Ctime = max(in.Ctime, st.ctime)
		if st.atime != 0 {
			in.Atime = st.atime
		}
		if st.chmod != nil {
			in.Mode, in.HasMode = *st.chmod, true
		}
	}
	return in
}
