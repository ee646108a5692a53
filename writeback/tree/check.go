package tree

import (
	"bytes"
	"errors"
	"fmt"

	"megadisk/megaclient"

	"github.com/dgraph-io/badger/v4"
)

// CheckInvariants reads the whole tree and says what is wrong with it; nil if nothing is. It is for
// tests and for `doctor`, while nobody writes: it costs a lookup or two for each row. The invariants:
//
//	I1  an inode that isn't removed has its entry, in a folder that isn't removed, and no other;
//	    without a name it has a nameless row instead; a fixed inode has neither
//	I2  an entry has its inode, with the same parent, name and kind
//	I3  from each inode that isn't removed the way up ends at a fixed inode; one below a removed folder
//	    waits for a sweep row
//	I4  a handle row's inode has that handle as its shadow or as a version, an orphan's row exists; each
//	    shadow and each version has its handle row
//	I5  an inode without a shadow is PendingCreate or removed; a removed one with a shadow is
//	    PendingRemove, and the other way round
//	I6  the indexes of pending, removed, nameless and doubled inodes hold exactly those
//	I7  a place that is the cloud's own is the cloud's: parent (unless it waits for it) and name, and if
//	    the name is another, then the one whose name it is has a better right to it, or is placed here,
//	    and it is the first of a double's names that no other has
//	I8  numbers are below the counter
func (t *Tree) CheckInvariants() error {
	return t.View(func(tx *Tx) error {
		c := &checker{tx: tx, known: map[Ino]bool{}}
		for _, ino := range t.Pending() {
			c.known[ino] = true
		}
		for prefix, check := range map[byte]func(*badger.Item) error{
			rowInode: c.inode, rowEntry: c.entry, rowHandle: c.handle, rowVersion: c.version,
			rowPending: c.pending, rowGrave: c.grave, rowNameless: c.nameless, rowDouble: c.double,
			rowOrphan: c.orphan,
		} {
			err := tx.scan([]byte{prefix}, []byte{prefix}, func(item *badger.Item) (bool, error) {
				return true, check(item)
			})
			if err != nil {
				return fmt.Errorf("checking rows %q: %w", prefix, err)
			}
		}
		return errors.Join(c.wrong...)
	})
}

// checker collects what is wrong. It reports numbers and handles only.
type checker struct {
	tx    *Tx
	known map[Ino]bool // pending, by what is kept in memory
	wrong []error
}

func (c *checker) fail(format string, args ...any) {
	if len(c.wrong) < 50 {
		c.wrong = append(c.wrong, fmt.Errorf(format, args...))
	}
}

func (c *checker) has(k []byte) bool {
	ok, err := c.tx.row(k, nil)
	return ok && err == nil
}

func (c *checker) get(ino Ino) *Inode {
	in, err := c.tx.peek(ino)
	if err != nil {
		return nil
	}
	return in
}

func (c *checker) inode(item *badger.Item) error {
	ino := inoOf(item.Key())
	in := c.get(ino)
	if in == nil || in.Ino != ino {
		c.fail("inode %d: its row is another's, or can't be read", ino)
		return nil
	}
	if ino >= c.tx.t.nextIno() || ino < firstFree && (ino < DriveIno || ino > TrashIno) {
		c.fail("inode %d: a number never given", ino)
	}
	if in.Parent == 0 {
		if ino >= firstFree {
			c.fail("inode %d: no parent", ino)
		}
		return nil
	}
	c.inodeState(in)
	if !in.Removed {
		c.inodePlace(in)
	}
	return nil
}

// inodeState checks I4, I5 and the half of I6 that begins at the inode.
func (c *checker) inodeState(in *Inode) {
	if in.Cloud == nil && !in.Removed && !in.Pending.Has(PendingCreate) {
		c.fail("inode %d: neither in the cloud nor to be created", in.Ino)
	}
	if (in.Removed && in.Cloud != nil) != in.Pending.Has(PendingRemove) {
		c.fail("inode %d: removed %v, in the cloud %v, pending %b", in.Ino, in.Removed, in.Cloud != nil, in.Pending)
	}
	if in.Cloud != nil {
		r, ok, err := c.tx.handle(in.Cloud.Handle)
		if err != nil || !ok || r.Ino != in.Ino || r.Version {
			c.fail("inode %d: its handle %s is %+v", in.Ino, in.Cloud.Handle, r)
		}
		list, err := c.tx.Versions(in.Ino)
		if err != nil || len(list) != in.Cloud.Versions {
			c.fail("inode %d: %d versions, counted %d", in.Ino, len(list), in.Cloud.Versions)
		}
	}
	for prefix, want := range map[byte]bool{rowPending: in.Pending != 0, rowGrave: in.Removed} {
		if c.has(inoKey(prefix, in.Ino)) != want {
			c.fail("inode %d: its row in index %q should be there: %v", in.Ino, prefix, want)
		}
	}
	if c.known[in.Ino] != (in.Pending != 0) {
		c.fail("inode %d: pending %b, in memory %v", in.Ino, in.Pending, c.known[in.Ino])
	}
	if id, is := doubleIDOf(in); is && !c.has(doubleKey(id.dir, id.name, id.handle)) {
		c.fail("inode %d: a double without a row", in.Ino)
	}
}

// inodePlace checks I1, I3 and I7.
func (c *checker) inodePlace(in *Inode) {
	if in.Name == "" {
		if !c.has(namelessKey(in.Parent, in.Ino)) {
			c.fail("inode %d: nameless without a row", in.Ino)
		}
	} else if ino, err := c.tx.entry(in.Parent, in.Name); err != nil || ino != in.Ino {
		c.fail("inode %d: its entry is that of %d", in.Ino, ino)
	} else if err := ValidName(in.Name); err != nil {
		c.fail("inode %d: its name: %w", in.Ino, err)
	}
	waits, last := false, Ino(0)
	p, err := c.tx.climb(in.Ino, func(on *Inode) bool {
		waits = waits || c.has(inoKey(rowSweep, on.Ino))
		last = on.Ino
		return true
	})
	if err != nil || p.gone && !waits {
		c.fail("inode %d: the way up ends at %d (%v)", in.Ino, last, err)
	}
	if p.gone || waits || placedHere(in) {
		return
	}
	c.cloudPlace(in)
}

// cloudPlace checks I7.
func (c *checker) cloudPlace(in *Inode) {
	parent, ok, err := c.tx.cloudParent(in.Cloud)
	if err != nil || parent != in.Parent && !c.has(orphanKey(in.Cloud.Parent, in.Cloud.Handle)) {
		c.fail("inode %d: in %d, by the cloud in %d (%v, %v)", in.Ino, in.Parent, parent, ok, err)
	}
	if in.Cloud.Attrs == nil && in.Name != "" || in.Name == "" && in.Cloud.Attrs != nil {
		c.fail("inode %d: a name unlike the cloud's", in.Ino)
	}
	if isDouble(in) {
		c.doublePlace(in)
	}
}

// doublePlace checks what I7 says of doubles.
func (c *checker) doublePlace(in *Inode) {
	ino, err := c.tx.entry(in.Parent, Shown(in.Cloud.Name))
	holder := c.get(ino)
	switch {
	case err != nil || holder == nil:
		c.fail("inode %d: a double of nothing", in.Ino)
	case placedHere(holder):
	case Shown(holder.Cloud.Name) != Shown(in.Cloud.Name) || !older(holder.Cloud, in.Cloud):
		c.fail("inode %d: inode %d has its name without the right", in.Ino, ino)
	}
	for i := 1; i <= maxDoubles; i++ {
		name := DoubleName(Shown(in.Cloud.Name), in.Cloud.Handle, i)
		if name == in.Name {
			return
		}
		if ino, err := c.tx.entry(in.Parent, name); err != nil || ino == 0 {
			c.fail("inode %d: a double that passes over the free name of number %d (%v)", in.Ino, i, err)
		}
	}
}

func (c *checker) entry(item *badger.Item) error {
	var e entryRow
	if err := item.Value(func(b []byte) error { return decodeEntry(b, &e) }); err != nil {
		return err
	}
	in := c.get(e.Ino)
	k := item.Key()
	if in == nil || in.Removed || in.Parent != inoOf(k) || in.Name != string(k[9:]) || in.Kind != e.Kind {
		c.fail("an entry of folder %d: inode %d isn't there", inoOf(k), e.Ino)
	}
	return nil
}

func (c *checker) handle(item *badger.Item) error {
	var r handleRow
	if err := item.Value(func(b []byte) error { return decodeRow(b, &r) }); err != nil {
		return err
	}
	h := megaclient.Handle(item.Key()[1:])
	switch in := c.get(r.Ino); {
	case r.Orphan != "":
		if !c.has(orphanKey(r.Orphan, h)) || r.Ino != 0 {
			c.fail("handle %s: an orphan without a row", h)
		}
	case in == nil || in.Cloud == nil:
		c.fail("handle %s: inode %d isn't in the cloud", h, r.Ino)
	case r.Version && !c.has(versionKey(r.Ino, h)):
		c.fail("handle %s: no version of inode %d", h, r.Ino)
	case !r.Version && in.Cloud.Handle != h:
		c.fail("handle %s: inode %d has %s", h, r.Ino, in.Cloud.Handle)
	}
	return nil
}

func (c *checker) version(item *badger.Item) error {
	k := item.Key()
	h := megaclient.Handle(k[9:])
	r, ok, err := c.tx.handle(h)
	if err != nil || !ok || !r.Version || r.Ino != inoOf(k) {
		c.fail("version %s of inode %d: its handle is %+v", h, inoOf(k), r)
	}
	if in := c.get(inoOf(k)); in == nil || in.Cloud == nil {
		c.fail("version %s of inode %d, which isn't in the cloud", h, inoOf(k))
	}
	return nil
}

func (c *checker) pending(item *badger.Item) error {
	if in := c.get(inoOf(item.Key())); !isPending(in) {
		c.fail("inode %d: in the index of pending ones", inoOf(item.Key()))
	}
	return nil
}

func (c *checker) grave(item *badger.Item) error {
	if in := c.get(inoOf(item.Key())); !isGrave(in) {
		c.fail("inode %d: in the index of removed ones", inoOf(item.Key()))
	}
	return nil
}

func (c *checker) nameless(item *badger.Item) error {
	k := item.Key()
	ino := inoOf(k[8:])
	if in := c.get(ino); in == nil || !isNameless(in) || in.Parent != inoOf(k) {
		c.fail("inode %d: in the index of nameless ones", ino)
	}
	return nil
}

func (c *checker) double(item *badger.Item) error {
	k := item.Key()
	dir := inoOf(k)
	name, h, _ := bytes.Cut(k[9:], []byte{0})
	if len(h) == 0 {
		return c.doubleCount(dir, string(name), item)
	}
	var r doubleRow
	if err := item.Value(func(b []byte) error { return decodeRow(b, &r) }); err != nil {
		return err
	}
	want := doubleID{entryID{dir, string(name)}, megaclient.Handle(h)}
	if id, is := doubleIDOf(c.get(r.Ino)); !is || id != want {
		c.fail("inode %d: in the index of doubles", r.Ino)
	}
	return nil
}

func (c *checker) doubleCount(dir Ino, name string, item *badger.Item) error {
	var r countRow
	if err := item.Value(func(b []byte) error { return decodeRow(b, &r) }); err != nil {
		return err
	}
	n := 0
	prefix := doubleKey(dir, name, "")
	err := c.tx.scan(prefix, append(prefix, 1), func(*badger.Item) (bool, error) { n++; return true, nil })
	if n != r.Count || n == 0 {
		c.fail("folder %d: %d doubles of a name, counted %d", dir, n, r.Count)
	}
	return err
}

func (c *checker) orphan(item *badger.Item) error {
	h := orphanHandle(item.Key())
	if h == "" {
		return nil
	}
	var o orphanRow
	if err := item.Value(func(b []byte) error { return decodeRow(b, &o) }); err != nil {
		return err
	}
	r, ok, err := c.tx.handle(h)
	if err != nil || !ok || o.Node != nil != (r.Orphan != "") {
		c.fail("orphan %s: its handle is %+v", h, r)
	}
	return nil
}

func (t *Tree) nextIno() Ino {
	t.stateMu.RLock()
	defer t.stateMu.RUnlock()
	return t.state.next
}
