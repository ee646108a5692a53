package tree

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// Generation is another number after each transaction that wrote: as long as it stays the same, what was read since it was
// asked for is as the tree is.
func (t *Tree) Generation() uint64 {
	t.memory.mu.Lock()
	defer t.memory.mu.Unlock()
	return t.memory.generation
}

// Get gives an inode. Errors: ErrStale.
func (t *Tree) Get(ino Ino) (Inode, error) {
	cached, generation := t.memory.inode(ino)
	if cached != nil {
		return *cached, nil
	}
	var in *Inode
	err := t.View(func(tx *Tx) (err error) {
		in, err = tx.peek(ino)
		return err
	})
	if err != nil {
		return Inode{}, err
	}
	t.memory.addInode(in, generation)
	return *in, nil
}

// Lookup gives the inode of a folder's entry. Errors: ErrNotFound, ErrNotDir, ErrStale (no such
// folder), ErrNameTooLong.
func (t *Tree) Lookup(parent Ino, name string) (Inode, error) {
	if len(name) > MaxName {
		return Inode{}, ErrNameTooLong
	}
	id := entryID{parent, name}
	in, ino, found, generation := t.memory.lookup(id)
	if in != nil {
		return *in, nil
	}
	if found && ino == 0 && t.isCachedDir(parent) {
		return Inode{}, ErrNotFound
	}
	var dir *Inode
	err := t.View(func(tx *Tx) (err error) {
		if ino, err = tx.entry(parent, name); err != nil {
			return err
		}
		switch {
		case ino != 0:
			in, err = tx.peek(ino)
		case !t.isCachedDir(parent):
			dir, err = tx.peek(parent)
		}
		return err
	})
	switch {
	case err != nil:
		return Inode{}, err
	case dir != nil && dir.Kind != Dir:
		return Inode{}, ErrNotDir
	}
	if dir != nil {
		t.memory.addInode(dir, generation)
	}
	id.name = strings.Clone(name)
	t.memory.addEntry(id, ino, in, generation)
	if ino == 0 {
		return Inode{}, ErrNotFound
	}
	return *in, nil
}

// isCachedDir says whether the cache knows, for now and so surely, that a folder exists.
func (t *Tree) isCachedDir(ino Ino) bool {
	p, _ := t.memory.inode(ino)
	return p != nil && p.Kind == Dir
}

// ReadDir gives up to max entries of a folder (0: all), in the order of their names' bytes, beginning
// after the name given ("": from the first). Errors: ErrNotDir, ErrStale.
func (t *Tree) ReadDir(parent Ino, after string, max int) ([]Inode, error) {
	var list []Inode
	err := t.View(func(tx *Tx) (err error) {
		list, err = tx.ReadDir(parent, after, max)
		return err
	})
	return list, err
}

// ReadDir is Tree.ReadDir as this transaction sees it.
func (tx *Tx) ReadDir(parent Ino, after string, max int) ([]Inode, error) {
	var inos []Ino
	err := tx.eachEntry(parent, after, func(_ string, ino Ino) (bool, error) {
		inos = append(inos, ino)
		return max <= 0 || len(inos) < max, nil
	})
	if err != nil {
		return nil, err
	}
	if len(inos) == 0 {
		if err := tx.absent(parent); err != ErrNotFound {
			return nil, err
		}
		return nil, nil
	}
	list := make([]Inode, len(inos))
	if !tx.write && dense(inos) {
		return list, tx.readRun(inos, list)
	}
	for i, ino := range inos {
		if err := tx.glance(ino, &list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// glance reads one of a long row of inodes, most of them not seen again: a view doesn't keep them.
func (tx *Tx) glance(ino Ino, into *Inode) error {
	if tx.write {
		in, err := tx.peek(ino)
		if err == nil {
			*into = *in
		}
		return err
	}
	ok, err := tx.row(inoKey(rowInode, ino), into)
	if err == nil && !ok {
		err = ErrStale
	}
	if err != nil {
		return fmt.Errorf("inode %d: %w", ino, err)
	}
	return nil
}

// What came into a folder together has numbers that lie together. Reading such inodes in one run over
// the rows costs a third of a look-up for each.
const (
	runAtLeast = 32 // inodes, for which it is worth an iterator
	runGap     = 8  // rows passed over for one that is wanted, on average
)

// dense says whether inodes lie close enough together.
func dense(inos []Ino) bool {
	return len(inos) >= runAtLeast && slices.Max(inos)-slices.Min(inos) < Ino(runGap*len(inos))
}

// readRun reads inodes in the order of their numbers.
func (tx *Tx) readRun(inos []Ino, list []Inode) error {
	order := make([]int, len(inos))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(inos[a], inos[b]) })
	next := 0
	first := inoKey(rowInode, inos[order[0]])
	err := tx.scan(first[:1], first, func(item *badger.Item) (bool, error) {
		at := inoOf(item.Key())
		for ; next < len(order) && inos[order[next]] <= at; next++ {
			if inos[order[next]] < at {
				return false, fmt.Errorf("inode %d: %w", inos[order[next]], ErrStale)
			}
			err := item.Value(func(b []byte) error { return decodeInode(b, &list[order[next]]) })
			if err != nil {
				return false, err
			}
		}
		return next < len(order), nil
	})
	if err == nil && next < len(order) {
		err = fmt.Errorf("inode %d: %w", inos[order[next]], ErrStale)
	}
	return err
}

// eachEntry calls fn with the entries after a name until it returns false.
func (tx *Tx) eachEntry(parent Ino, after string, fn func(name string, ino Ino) (bool, error)) error {
	prefix := entryKey(parent, "")
	start := prefix
	if after != "" {
		start = append(entryKey(parent, after), 0) // no name holds a NUL, so this is the next one
	}
	return tx.scan(prefix, start, func(item *badger.Item) (bool, error) {
		var e entryRow
		if err := item.Value(func(b []byte) error { return decodeEntry(b, &e) }); err != nil {
			return false, err
		}
		return fn(string(item.Key()[len(prefix):]), e.Ino)
	})
}

// scan calls fn with the rows of a prefix, beginning at a key, until it returns false. In Update fn
// must not write rows of that prefix.
func (tx *Tx) scan(prefix, start []byte, fn func(*badger.Item) (bool, error)) error {
	it := tx.txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(start); it.Valid(); it.Next() {
		if more, err := fn(it.Item()); err != nil || !more {
			return err
		}
	}
	return nil
}

// IsEmptyDir says whether nothing is in a folder, not even what can't be decrypted and so isn't shown.
// Errors: ErrStale, ErrNotDir.
func (tx *Tx) IsEmptyDir(ino Ino) (bool, error) {
	in, err := tx.peek(ino)
	if err != nil {
		return false, err
	}
	if in.Kind != Dir {
		return false, ErrNotDir
	}
	empty := true
	found := func(*badger.Item) (bool, error) { empty = false; return false, nil }
	prefix := entryKey(ino, "")
	if err := tx.scan(prefix, prefix, found); err != nil || !empty {
		return false, err
	}
	return tx.noNameless(ino)
}

// noNameless says whether nothing in a folder lacks a name, by the rows and this transaction's changes.
func (tx *Tx) noNameless(dir Ino) (bool, error) {
	for _, s := range tx.slots {
		if s.in != nil && s.dirty && isNameless(s.in) && s.in.Parent == dir {
			return false, nil
		}
	}
	list, err := tx.nameless(dir, 1)
	return len(list) == 0, err
}

// nameless gives up to max nameless inodes of a folder that have rows and are still nameless there.
func (tx *Tx) nameless(dir Ino, max int) (list []Ino, err error) {
	prefix := inoKey(rowNameless, dir)
	err = tx.scan(prefix, prefix, func(item *badger.Item) (bool, error) {
		ino := inoOf(item.Key()[8:])
		if s := tx.slots[ino]; s != nil && (s.in == nil || !isNameless(s.in) || s.in.Parent != dir) {
			return true, nil
		}
		list = append(list, ino)
		return len(list) < max, nil
	})
	return list, err
}

// isNameless says whether an inode is in a folder without an entry, since its name is unknown.
func isNameless(in *Inode) bool { return !in.Removed && in.Name == "" && in.Parent != 0 }
