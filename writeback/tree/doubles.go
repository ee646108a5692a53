package tree

import (
	"slices"
	"strconv"
	"strings"

	"megadisk/megaclient"

	"github.com/dgraph-io/badger/v4"
)

// Doubles: inodes whose name in the cloud an older node of the same folder has. One is shown as
// `NAME (HANDLE).EXT`, and where that is somebody's real name, as `NAME (HANDLE-2).EXT` or with the next
// number that is free. Two doubles never want the same one, and when a name becomes free, the double that
// would have had it takes it. So what is shown follows from what the folder holds, and not from the order
// in which it was heard: each mount of the account shows the same. Each double has an index row.

// isDouble says whether an inode is shown under another name than its own since that is taken.
func isDouble(in *Inode) bool {
	return !in.Removed && in.Name != "" && !placedHere(in) && in.Name != Shown(in.Cloud.Name)
}

// HasCloudName says whether an inode that is in the cloud is shown under the name that it has there, or as a double
// of it.
func (in *Inode) HasCloudName() bool {
	wanted := Shown(in.Cloud.Name)
	return in.Name == wanted || doubleRank(in.Name, wanted, in.Cloud.Handle) != 0
}

// maxDoubles bounds the names tried for one double; more can only be taken on purpose.
const maxDoubles = 64

// contest notes that a double wants a name.
func (tx *Tx) contest(e *Inode, parent Ino, wanted string) {
	id := entryID{parent, wanted}
	tx.contested[id] = struct{}{}
	if !slices.Contains(tx.doubles[id], e.Ino) {
		tx.doubles[id] = append(tx.doubles[id], e.Ino)
	}
}

// placeDouble gives an inode the name of a double, any but one that is about to be taken.
func (tx *Tx) placeDouble(e *Inode, parent Ino, wanted, taken string) error {
	tx.contest(e, parent, wanted)
	for i := 1; i <= maxDoubles; i++ {
		name := DoubleName(wanted, e.Cloud.Handle, i)
		ino, err := tx.entry(parent, name)
		if err != nil {
			return err
		}
		if ino == 0 && name != taken {
			return tx.setPlace(e, parent, name)
		}
	}
	name, err := tx.ConflictName(parent, wanted)
	if err != nil {
		return err
	}
	return tx.setPlace(e, parent, name)
}

// DoubleName is the i-th name, from 1 up, for a node that can't have the one that it wants; none is too long.
func DoubleName(wanted string, h megaclient.Handle, i int) string {
	suffix := " (" + string(h) + ")"
	if i > 1 {
		suffix = " (" + string(h) + "-" + strconv.Itoa(i) + ")"
	}
	return withSuffix(wanted, suffix)
}

// doubleRank says which of the names that DoubleName makes this is, from 1 up; 0: none of them.
func doubleRank(shown, wanted string, h megaclient.Handle) int {
	for i := 1; i <= maxDoubles; i++ {
		if shown == DoubleName(wanted, h, i) {
			return i
		}
	}
	return 0
}

// shortenDouble gives a name that is free to the double that had to take a later one, if there is such a one.
func (tx *Tx) shortenDouble(free entryID) error {
	if holder, err := tx.entry(free.dir, free.name); err != nil || holder != 0 {
		return err
	}
	for _, h := range doubleHandles(free.name) {
		in, err := tx.doubleIn(free.dir, h)
		if err != nil {
			return err
		}
		if in == nil {
			continue
		}
		wanted := Shown(in.Cloud.Name)
		has, could := doubleRank(in.Name, wanted, h), doubleRank(free.name, wanted, h)
		if could == 0 || has != 0 && has < could {
			continue
		}
		e, err := tx.edit(in.Ino)
		if err != nil {
			return err
		}
		if err := tx.unplace(e); err != nil {
			return err
		}
		return tx.setPlace(e, free.dir, free.name)
	}
	return nil
}

// doubleHandles gives the handles, if any, whose double this may be the name of: a handle may itself end like one
// with a number.
func doubleHandles(name string) (list []megaclient.Handle) {
	_, text, ok := strings.Cut(name[max(strings.LastIndex(name, " ("), 0):], " (")
	if !ok {
		return nil
	}
	text, _, _ = strings.Cut(text, ")")
	list = append(list, megaclient.Handle(text))
	if i := strings.LastIndexByte(text, '-'); i >= 0 {
		list = append(list, megaclient.Handle(text[:i]))
	}
	return list
}

// doubleIn gives a double of a folder by its handle; nil if it isn't one.
func (tx *Tx) doubleIn(dir Ino, h megaclient.Handle) (*Inode, error) {
	r, known, err := tx.handle(h)
	if err != nil || !known || r.Version || r.Orphan != "" {
		return nil, err
	}
	in, err := tx.peek(r.Ino)
	if err != nil || in.Parent != dir || !isDouble(in) {
		return nil, err
	}
	return in, nil
}

// bestDouble gives the double that has the best right to a name; nil if there is none.
func (tx *Tx) bestDouble(id entryID) (best *Inode, err error) {
	consider := func(in *Inode) {
		if in != nil && in.Parent == id.dir && isDouble(in) && Shown(in.Cloud.Name) == id.name &&
			(best == nil || older(in.Cloud, best.Cloud)) {
			best = in
		}
	}
	for _, ino := range tx.doubles[id] {
		consider(tx.slots[ino].in)
	}
	if !tx.rare.doubles {
		return best, nil
	}
	if ok, err := tx.row(doubleKey(id.dir, id.name, ""), nil); !ok {
		return best, err
	}
	prefix := doubleKey(id.dir, id.name, "")
	err = tx.scan(prefix, append(prefix, 1), func(item *badger.Item) (bool, error) {
		var r doubleRow
		if err := item.Value(func(b []byte) error { return decodeRow(b, &r) }); err != nil {
			return false, err
		}
		s, err := tx.slot(r.Ino)
		if err == nil {
			consider(s.in)
		}
		return true, err
	})
	return best, err
}
