package tree

import (
	"cmp"
	"errors"
	"fmt"

	"megadisk/megaclient"

	"github.com/dgraph-io/badger/v4"
)

// Tx is a transaction: what it reads is one consistent view, and in Update with its own changes. It
// belongs to one goroutine and ends with the function that got it.
//
// Rows of inodes are kept decoded in slots and written once, at the end, when the rows that follow from
// them (indexes of pending and removed inodes, of nameless and doubled ones) are brought in line too.
// Entries and handles are written at once, since transactions look them up.
type Tx struct {
	t      *Tree
	txn    *badger.Txn
	write  bool
	origin any

	slots     map[Ino]*slot
	names     map[entryID]Ino // entries written, 0: deleted
	contested map[entryID]struct{}
	doubles   map[entryID][]Ino               // who became a double of a name
	handles   map[megaclient.Handle]handleRow // looked up or written; the zero row: unknown
	limbo     map[megaclient.Handle]Ino       // handles taken from an inode that may still be given to another
	adopt     []megaclient.Handle             // nodes that came and may have orphans
	changes   []Change
	quiet     bool // changes are consequences: they carry no origin

	next      Ino
	epoch     uint32
	fetched   bool
	sn        string
	shareKeys map[megaclient.Handle]megaclient.ShareKey
	halves    map[megaclient.Handle]bool // true: heard, false: complete
	rare      rare

	unread error // see Unread

	rows  int // written so far, about
	bytes int
	kick  bool // there is work for the sweeper
}

// slot is an inode in a transaction.
type slot struct {
	orig  *Inode // as committed; nil: no row
	in    *Inode // now; nil: no row
	own   bool   // in is ours to change
	dirty bool
}

func newTx(t *Tree, origin any) *Tx {
	tx := &Tx{
		t: t, txn: t.db.NewTransaction(true), write: true, origin: origin,
		slots:     map[Ino]*slot{},
		names:     map[entryID]Ino{},
		contested: map[entryID]struct{}{},
		doubles:   map[entryID][]Ino{},
		handles:   map[megaclient.Handle]handleRow{},
		limbo:     map[megaclient.Handle]Ino{},
		shareKeys: map[megaclient.Handle]megaclient.ShareKey{},
		halves:    map[megaclient.Handle]bool{},
	}
	t.stateMu.RLock()
	defer t.stateMu.RUnlock()
	tx.next, tx.epoch, tx.fetched, tx.sn, tx.rare = t.state.next, t.state.epoch, t.state.fetched, t.state.sn, t.state.rare
	return tx
}

// Badger gives the database's own transaction, for rows under the prefix 'w', which belong to package
// writeback: values below 1 MiB. Other prefixes must not be touched.
func (tx *Tx) Badger() *badger.Txn { return tx.txn }

// Full says that a transaction with many parts should come to an end and go on in the next one. Rows
// written by way of Badger aren't counted: leave them two thirds of the room.
func (tx *Tx) Full() bool {
	return tx.rows > maxRows || tx.bytes > maxBytes
}

// A third of what Badger takes in one transaction.
const (
	maxRows  = 2500
	maxBytes = memTableSize * 15 / 100 / 3
)

// Note adds a change to those that are reported after the commit. Without an Origin it gets the
// transaction's.
func (tx *Tx) Note(c Change) {
	if c.Origin == nil && !tx.quiet {
		c.Origin = tx.origin
	}
	tx.changes = append(tx.changes, c)
}

// set writes a row.
func (tx *Tx) set(k []byte, v any) error {
	if !tx.write {
		return fmt.Errorf("changing the tree in a view: %w", ErrInvalid)
	}
	b, err := encodeRow(v)
	if err != nil {
		return err
	}
	return tx.setRaw(k, b)
}

func (tx *Tx) setRaw(k, b []byte) error {
	if len(b) >= valueInTree { // rows belong into the tree itself; in memory Badger has nothing else
		return fmt.Errorf("a row of %d bytes: %w", len(b), ErrTooBig)
	}
	if f := tx.t.written; f != nil && filtered(k) {
		f.add(k)
	}
	tx.rows++
	tx.bytes += len(k) + len(b) + 16
	if err := tx.txn.Set(k, b); err != nil {
		return tooBig(err, "writing a row")
	}
	return nil
}

func (tx *Tx) del(k []byte) error {
	tx.rows++
	tx.bytes += len(k) + 16
	if err := tx.txn.Delete(k); err != nil {
		return tooBig(err, "deleting a row")
	}
	return nil
}

func (tx *Tx) row(k []byte, v any) (bool, error) {
	if tx.write && tx.t.written != nil && filtered(k) && !tx.t.written.has(k) {
		return false, nil
	}
	return getRow(tx.txn, k, v)
}

// slot loads an inode.
func (tx *Tx) slot(ino Ino) (*slot, error) {
	if s := tx.slots[ino]; s != nil {
		return s, nil
	}
	in, err := tx.committed(ino)
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", ino, err)
	}
	s := &slot{orig: in, in: in}
	tx.slots[ino] = s
	return s, nil
}

// committed reads an inode's committed row; nil if there is none. The one writer may use the cache,
// since no commit but its own can change it; a view is older, maybe.
func (tx *Tx) committed(ino Ino) (*Inode, error) {
	if tx.write {
		if in, _ := tx.t.memory.inode(ino); in != nil {
			return in, nil
		}
	}
	in := new(Inode)
	if ok, err := tx.row(inoKey(rowInode, ino), in); !ok {
		return nil, err
	}
	return in, nil
}

// peek gives an inode that must not be changed; ErrStale if there is none.
func (tx *Tx) peek(ino Ino) (*Inode, error) {
	s, err := tx.slot(ino)
	if err != nil {
		return nil, err
	}
	if s.in == nil {
		return nil, fmt.Errorf("inode %d: %w", ino, ErrStale)
	}
	return s.in, nil
}

// edit gives an inode to be changed; what is changed will be written.
func (tx *Tx) edit(ino Ino) (*Inode, error) {
	if _, err := tx.peek(ino); err != nil {
		return nil, err
	}
	s := tx.slots[ino]
	if !s.own {
		in := *s.in
		if in.Cloud != nil {
			c := *in.Cloud
			in.Cloud = &c
		}
		s.in, s.own = &in, true
	}
	tx.mark(s)
	return s.in, nil
}

// usualRow is what an inode's row takes, about, with the rows that follow from it.
const usualRow = 700

func (tx *Tx) mark(s *slot) {
	if !s.dirty {
		s.dirty = true
		tx.rows += 2
		tx.bytes += usualRow
		if s.in != nil {
			tx.expect(s.in.Text())
		}
	}
}

// expect counts text that an inode's row will hold, which is written at the end: what programs and other clients have set of
// it may be many times as long as is usual.
func (tx *Tx) expect(text int) { tx.bytes += max(0, text-usualRow) }

// Text is how long what was set of an inode is, here and in the cloud, in bytes.
func (in *Inode) Text() (size int) {
	for _, set := range []map[string]string{in.Xattrs, in.Others} {
		for name, value := range set {
			size += len(name) + len(value)
		}
	}
	if c := in.Cloud; c != nil {
		size += len(c.RawKey) + len(c.RawAttrs) + len(c.FileAttrs)
		for name, value := range c.Attrs {
			size += len(name) + len(value)
		}
	}
	return size
}

// insert adds a new inode and gives it its number.
func (tx *Tx) insert(in *Inode) error {
	if !tx.write {
		return fmt.Errorf("changing the tree in a view: %w", ErrInvalid)
	}
	if tx.next > maxIno {
		return fmt.Errorf("no inode number left: %w", ErrInvalid)
	}
	in.Ino = tx.next
	tx.next++
	s := &slot{in: in, own: true}
	tx.slots[in.Ino] = s
	tx.mark(s)
	return nil
}

// drop deletes an inode's row.
func (tx *Tx) drop(ino Ino) error {
	if _, err := tx.peek(ino); err != nil {
		return err
	}
	s := tx.slots[ino]
	s.in = nil
	tx.mark(s)
	return nil
}

// Get gives an inode. Its Cloud, but for the slices and the map in it, may be changed and given to Put.
// Errors: ErrStale.
func (tx *Tx) Get(ino Ino) (Inode, error) {
	p, err := tx.peek(ino)
	if err != nil {
		return Inode{}, err
	}
	in := *p
	if in.Cloud != nil {
		c := *in.Cloud
		in.Cloud = &c
	}
	return in, nil
}

// entry gives the inode of a folder's entry; 0 if there is none.
func (tx *Tx) entry(parent Ino, name string) (Ino, error) {
	if ino, ok := tx.names[entryID{parent, name}]; ok {
		return ino, nil
	}
	var e entryRow
	_, err := tx.row(entryKey(parent, name), &e)
	return e.Ino, err
}

// Lookup gives the inode of a folder's entry. Errors: ErrNotFound, ErrNotDir, ErrStale (no such folder).
func (tx *Tx) Lookup(parent Ino, name string) (Inode, error) {
	if len(name) > MaxName {
		return Inode{}, ErrNameTooLong
	}
	ino, err := tx.entry(parent, name)
	if err != nil {
		return Inode{}, err
	}
	if ino == 0 {
		return Inode{}, tx.absent(parent)
	}
	return tx.Get(ino)
}

// absent tells why a folder has no entry of some name.
func (tx *Tx) absent(parent Ino) error {
	p, err := tx.peek(parent)
	switch {
	case err != nil:
		return err
	case p.Kind != Dir:
		return ErrNotDir
	}
	return ErrNotFound
}

// setEntry writes or, with ino 0, deletes an entry.
func (tx *Tx) setEntry(parent Ino, name string, ino Ino, kind Kind) error {
	tx.names[entryID{parent, name}] = ino
	if ino == 0 {
		return tx.del(entryKey(parent, name))
	}
	return tx.set(entryKey(parent, name), entryRow{Ino: ino, Kind: kind})
}

// handle says what a handle is; false if it is unknown.
func (tx *Tx) handle(h megaclient.Handle) (handleRow, bool, error) {
	var r handleRow
	if !validHandle(h) {
		return r, false, nil
	}
	if r, ok := tx.handles[h]; ok {
		return r, r != handleRow{}, nil
	}
	ok, err := tx.row(handleKey(h), &r)
	if err == nil && tx.write {
		tx.handles[h] = r
	}
	return r, ok, err
}

func (tx *Tx) setHandle(h megaclient.Handle, r handleRow) error {
	tx.handles[h] = r
	return tx.set(handleKey(h), r)
}

func (tx *Tx) delHandle(h megaclient.Handle) error {
	tx.handles[h] = handleRow{}
	return tx.del(handleKey(h))
}

// ByHandle gives the inode of a node, be it the newest version or an older one that is known. One that can't be read
// counts as unknown: see Unread.
func (tx *Tx) ByHandle(h megaclient.Handle) (Ino, bool) {
	r, ok, err := tx.handle(h)
	tx.unread = cmp.Or(tx.unread, err)
	return r.Ino, ok && err == nil && r.Ino != 0
}

// Unread tells, once, that something counted as unknown since it can't be read. A transaction of which nobody has asked
// that fails with it at its end, so that nothing is done by a wrong answer.
func (tx *Tx) Unread() error {
	err := tx.unread
	tx.unread = nil
	return err
}

// isStale says that a row is gone, which many callers expect.
func isStale(err error) bool { return errors.Is(err, ErrStale) }
