package tree

import (
	"fmt"

	"megadisk/megaclient"
)

// What the tree already shows as refused is refused at once. These checks look at the place of an inode
// here: which fixed inode it hangs below, and the root of the incoming share around it, if any.

// maxDepth bounds the walk from an inode to its root: no path of a program is that deep.
const maxDepth = 4096

// place is what a walk up finds.
type place struct {
	root   Ino    // fixed inode at the top
	share  *Inode // root of the incoming share around it; nil for one's own
	gone   bool   // something on the way was removed, or the chain is broken: root means nothing
	access int    // what may be done
}

// climb walks from an inode up to its root. visit, if not nil, sees each inode on the way, the first one
// too, and ends the walk by returning false.
func (tx *Tx) climb(ino Ino, visit func(*Inode) bool) (place, error) {
	p := place{access: megaclient.AccessOwner}
	for range maxDepth {
		in, err := tx.peek(ino)
		if isStale(err) {
			p.gone = true
			return p, nil
		}
		if err != nil {
			return p, err
		}
		if visit != nil && !visit(in) {
			return p, nil
		}
		if in.Removed {
			p.gone = true
			return p, nil
		}
		if in.Parent == 0 {
			p.root = ino
			return p, nil
		}
		if in.Parent == SharesIno {
			p.share = in
			if in.Cloud != nil {
				p.access = in.Cloud.Access
			}
		}
		ino = in.Parent
	}
	return p, fmt.Errorf("deeper than %d folders: %w", maxDepth, ErrInvalid)
}

// locate is climb for an operation of a program; ErrNotFound if something above was removed.
func (tx *Tx) locate(ino Ino) (place, error) {
	objects := false
	p, err := tx.climb(ino, func(in *Inode) bool { objects = objects || in.Cloud.holdsObjects(); return true })
	if err == nil && p.gone {
		err = fmt.Errorf("inode %d hangs nowhere: %w", ino, ErrNotFound)
	}
	if err == nil && (p.root == VaultIno || objects) {
		err = ErrReadOnly
	}
	return p, err
}

// holdsObjects tells whether a node is one of MEGA's object storage (S4), whose own server has to know of each change.
func (c *Cloud) holdsObjects() bool {
	if c == nil {
		return false
	}
	_, is := c.Attrs["s4"]
	return is
}

// MayCreate says whether something can be added to a folder: nil, ErrReadOnly (vault, object storage), ErrAccess (a
// share that is read-only, or the folder of all shares), ErrNotFound (removed), ErrStale.
func (tx *Tx) MayCreate(parent Ino) error {
	if _, err := tx.peek(parent); err != nil {
		return err
	}
	p, err := tx.locate(parent)
	if err == nil && (parent == SharesIno || p.access < megaclient.AccessWrite) {
		err = ErrAccess
	}
	return err
}

// MayWrite says whether an inode's content and attributes can be changed: nil, ErrReadOnly, ErrAccess,
// ErrNotFound, ErrStale. A file that isn't in the cloud yet needs the right to add only. A removed file
// can always be written.
func (tx *Tx) MayWrite(ino Ino) error {
	in, err := tx.peek(ino)
	if err != nil || in.Removed {
		return err
	}
	return tx.mayChange(in)
}

// MayWrite is Tx.MayWrite for the newest state. Below a plain folder of one's own, where nearly everything is, the
// cache answers.
func (t *Tree) MayWrite(ino Ino) error {
	if t.plainlyOwn(ino) {
		return nil
	}
	return t.View(func(tx *Tx) error { return tx.MayWrite(ino) })
}

// plainlyOwn says whether an inode surely hangs in the Cloud Drive, and nothing on the way there is special.
func (t *Tree) plainlyOwn(ino Ino) bool {
	for range maxDepth {
		in, err := t.Get(ino)
		switch {
		case err != nil || in.Removed || in.Cloud != nil && in.Cloud.Damaged || in.Cloud.holdsObjects():
			return false
		case ino == DriveIno:
			return true
		}
		ino = in.Parent
	}
	return false
}

func (tx *Tx) mayChange(in *Inode) error {
	p, err := tx.locate(in.Ino)
	if err != nil {
		return err
	}
	need := megaclient.AccessFull
	if in.Cloud == nil {
		need = megaclient.AccessWrite
	}
	if p.access < need || in.Ino == SharesIno || in.Cloud != nil && in.Cloud.Damaged {
		return ErrAccess
	}
	return nil
}

// MayRemove says whether an inode can be removed: nil, ErrShareRoot (a share's root or one of the fixed
// inodes), ErrReadOnly, ErrAccess, ErrNotFound, ErrStale. What never got to the cloud can always go.
func (tx *Tx) MayRemove(ino Ino) error {
	in, err := tx.peek(ino)
	switch {
	case err != nil:
		return err
	case in.Parent == 0 || in.Parent == SharesIno:
		return ErrShareRoot
	case in.Cloud == nil:
		return nil
	}
	err = tx.mayChange(in)
	if err == ErrAccess && in.Cloud != nil && in.Cloud.Damaged {
		return nil
	}
	return err
}

// MayMove says whether an inode can be moved into a folder: nil, what MayRemove and MayCreate say, or
// ErrCrossShare, ErrCircular.
func (tx *Tx) MayMove(ino, parent Ino) error {
	in, err := tx.peek(ino)
	if err != nil {
		return err
	}
	if !in.Removed {
		if err := tx.MayRemove(ino); err != nil {
			return err
		}
	}
	if err := tx.MayCreate(parent); err != nil {
		return err
	}
	circular := false
	to, err := tx.climb(parent, func(on *Inode) bool {
		circular = circular || on.Ino == ino
		return !circular
	})
	switch {
	case err != nil:
		return err
	case circular:
		return ErrCircular
	case in.Removed:
		return nil
	}
	from, err := tx.climb(ino, nil)
	if err == nil && shareOf(from) != shareOf(to) {
		err = ErrCrossShare
	}
	return err
}

// ShareAround gives the root of the incoming share that an inode lies in, 0 for what is one's own.
func (tx *Tx) ShareAround(ino Ino) (Ino, error) {
	p, err := tx.climb(ino, nil)
	return shareOf(p), err
}

// ShareAround is Tx.ShareAround for the newest state.
func (t *Tree) ShareAround(ino Ino) (share Ino, err error) {
	err = t.View(func(tx *Tx) error {
		share, err = tx.ShareAround(ino)
		return err
	})
	return share, err
}

func shareOf(p place) Ino {
	if p.share == nil {
		return 0
	}
	return p.share.Ino
}

// SharesOf gives the share roots with known keys at or above an inode: folders of our own that we share
// or exported, and roots of incoming shares. What is put there carries its key for each of them. Below a folder of
// our own only keys count that are proven to be ours: everything else is the word of the server.
func (tx *Tx) SharesOf(ino Ino) ([]megaclient.Handle, error) {
	var proven, lent []megaclient.Handle
	p, err := tx.climb(ino, func(in *Inode) bool {
		if in.Cloud == nil {
			return true
		}
		k, known := tx.shareKey(in.Cloud.Handle)
		if known && k.Proven {
			proven = append(proven, in.Cloud.Handle)
		} else if known && in.Cloud.Share {
			lent = append(lent, in.Cloud.Handle)
		}
		return true
	})
	if p.share != nil {
		proven = append(proven, lent...)
	}
	return proven, err
}

// SharesOf is Tx.SharesOf for the newest state.
func (t *Tree) SharesOf(ino Ino) (list []megaclient.Handle, err error) {
	err = t.View(func(tx *Tx) error {
		list, err = tx.SharesOf(ino)
		return err
	})
	return list, err
}
