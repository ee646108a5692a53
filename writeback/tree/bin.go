package tree

import (
	"cmp"
	"errors"
	"fmt"

	"megadisk/megaclient"
)

// What others put into the bin follows there, as it does with any move. But what was made or changed here stays
// where it is, to go up anew: a file at once (applyKnown), what is below a folder in steps of the sweeper. For
// it the folders around it are made anew, each the twin of one in the bin.

// InBin says whether an inode is in the bin.
func (tx *Tx) InBin(ino Ino) (bool, error) {
	p, err := tx.climb(ino, nil)
	return err == nil && !p.gone && p.root == BinIno, err
}

// binned applies that others put a node into the bin. done: the node has another inode now, since the content of this
// one has to go up anew.
func (tx *Tx) binned(e *Inode, c *Cloud, parent Ino) (done bool, err error) {
	if e.Removed || e.Pending.Has(PendingCreate) {
		return false, nil
	}
	is, err := tx.InBin(parent)
	if err != nil || !is {
		return false, err
	}
	if is, err = tx.InBin(e.Ino); err != nil || is {
		return false, err
	}
	if e.Kind == File && e.Pending.Has(PendingContent) {
		if err := tx.orphanContent(e); err != nil {
			return false, err
		}
		return true, tx.applyNew(c, parent)
	}
	e.Was = Place{e.Parent, e.Name}
	if e.Kind == Dir {
		tx.kick = true
		return false, tx.set(inoKey(rowSweep, e.Ino), sweepRow{Handle: c.Handle, Bin: true})
	}
	return false, nil
}

// takeOutBelow takes what has to go up out of a folder that is in the bin, some of it; done says that all is out.
func (tx *Tx) takeOutBelow(dir Ino) (done bool, err error) {
	if is, err := tx.InBin(dir); err != nil || !is {
		return true, err
	}
	var list []Ino
	err = tx.eachPending(func(in *Inode) error {
		if len(list) > sweepAtOnce || in.Removed || in.Ino == dir || in.Cloud != nil && !in.Pending.Has(PendingContent|PendingPlace) {
			return nil
		}
		below := false
		_, err := tx.climb(in.Ino, func(on *Inode) bool { below = below || on.Ino == dir; return !below })
		if below {
			list = append(list, in.Ino)
		}
		return err
	})
	for i := 0; i < len(list) && err == nil; i++ {
		if i == sweepAtOnce || tx.Full() {
			return false, nil
		}
		err = tx.takeOutPending(list[i])
	}
	return true, err
}

// takeOutPending takes one inode that is pending out of the bin.
func (tx *Tx) takeOutPending(ino Ino) error {
	if is, err := tx.InBin(ino); err != nil || !is {
		return err
	}
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	switch {
	case e.Cloud == nil:
		for { // what was made here moves as a whole
			up, err := tx.peek(e.Parent)
			if err != nil {
				return err
			}
			if up.Cloud != nil {
				return tx.takeOut(e)
			}
			if e, err = tx.edit(up.Ino); err != nil {
				return err
			}
		}
	case e.Pending.Has(PendingContent):
		return tx.TakeOutContent(ino)
	}
	err = tx.undoMove(ino)
	if !errors.Is(err, ErrCircular) {
		return err
	}
	e.Pending &^= PendingPlace // it is in the bin by itself
	tx.Note(Change{Ino: ino, Pending: true})
	return tx.follow(e)
}

// TakeOutContent takes a file out of the bin whose content is another one here: it goes up anew, and its node stays.
func (tx *Tx) TakeOutContent(ino Ino) error {
	defer tx.consequence()()
	if is, err := tx.InBin(ino); err != nil || !is {
		return err
	}
	e, err := tx.edit(ino)
	if err != nil || e.Cloud == nil {
		return err
	}
	c := *e.Cloud
	if err := tx.orphanContent(e); err != nil {
		return err
	}
	if err := tx.takeOut(e); err != nil {
		return err
	}
	return tx.soften(tx.apply(&c, true))
}

// TakeOut takes something out of the bin that must not be there, into the folder that it was in, or a twin of that.
// It is then to be moved in the cloud too.
func (tx *Tx) TakeOut(ino Ino) error {
	if is, err := tx.InBin(ino); err != nil || !is {
		return err
	}
	e, err := tx.edit(ino)
	if err != nil || e.Parent == 0 {
		return err
	}
	e.Pending |= PendingPlace
	tx.Note(Change{Ino: ino, Pending: true})
	return tx.takeOut(e)
}

func (tx *Tx) takeOut(e *Inode) error {
	defer tx.consequence()()
	parent, name, err := tx.wasAt(e, maxTwins)
	if err != nil {
		return err
	}
	holder, err := tx.entry(parent, name)
	if err == nil && holder != 0 {
		name, err = tx.ConflictName(parent, name)
	}
	if err != nil {
		return err
	}
	if err := tx.unplace(e); err != nil {
		return err
	}
	e.Was = Place{}
	return tx.setPlace(e, parent, name)
}

// maxTwins bounds the folders around something that are made anew.
const maxTwins = 256

// wasAt gives the place that something in the bin had, or would have had.
func (tx *Tx) wasAt(e *Inode, depth int) (parent Ino, name string, err error) {
	name = cmp.Or(e.Name, "folder")
	if e.Parent != BinIno {
		parent, err = tx.twin(e.Parent, depth-1)
		return parent, name, err
	}
	if e.Was.Parent == 0 && e.Cloud != nil { // other clients, and this one, note the folder when they put it into the bin
		if h, ok := e.Cloud.Attrs.String("rr"); ok {
			e.Was.Parent, _ = tx.ByHandle(megaclient.Handle(h))
		}
	}
	parent, name = e.Was.Parent, cmp.Or(e.Was.Name, name)
	p, err := tx.climb(parent, nil)
	switch {
	case err != nil:
		return 0, "", err
	case parent == 0 || p.gone || tx.isFile(parent):
		return DriveIno, name, nil
	case p.root == BinIno:
		parent, err = tx.twin(parent, depth-1)
	}
	return parent, name, err
}

// twin gives the folder that stands for one in the bin where that was, and makes it if need be.
func (tx *Tx) twin(dir Ino, depth int) (Ino, error) {
	if dir == BinIno {
		return DriveIno, nil
	}
	if depth <= 0 {
		return 0, fmt.Errorf("making folders anew: %w", ErrInvalid)
	}
	in, err := tx.edit(dir)
	if err != nil {
		return 0, err
	}
	parent, name, err := tx.wasAt(in, depth)
	if err != nil {
		return 0, err
	}
	holder, err := tx.entry(parent, name)
	if err != nil {
		return 0, err
	}
	if holder != 0 {
		h, err := tx.peek(holder)
		if err != nil || h.Kind == Dir {
			return holder, err
		}
		if name, err = tx.ConflictName(parent, name); err != nil {
			return 0, err
		}
	}
	now := tx.t.opts.Now().UnixNano()
	e := &Inode{Kind: Dir, Mtime: now, Ctime: now, Btime: now, Mode: in.Mode, HasMode: in.HasMode, ModeLocal: in.ModeLocal,
		Xattrs: in.Xattrs, Pending: PendingCreate, Epoch: tx.epoch}
	if err := tx.insert(e); err != nil {
		return 0, err
	}
	tx.Note(Change{Ino: e.Ino, Pending: true})
	return e.Ino, tx.setPlace(e, parent, name)
}

// IsStray says that others put a node into a folder that was unknown then.
func (tx *Tx) IsStray(h megaclient.Handle) bool {
	r, known, err := tx.handle(h)
	var row orphanRow
	if err == nil && known && r.Orphan != "" {
		_, err = tx.row(orphanKey(r.Orphan, h), &row)
	}
	tx.unread = cmp.Or(tx.unread, err)
	return err == nil && row.Foreign
}

// IsVersion says that a node is an older version of a file, and of which.
func (tx *Tx) IsVersion(h megaclient.Handle) (Ino, bool) {
	r, known, err := tx.handle(h)
	tx.unread = cmp.Or(tx.unread, err)
	return r.Ino, err == nil && known && r.Version
}
