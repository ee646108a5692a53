package tree

import (
	"slices"
	"strings"
)

// Lost is content that was shown here until somebody else deleted or replaced it. Whoever hears of it may still have
// it, and may keep it.
type Lost struct {
	Path     string // where it was, in the account
	Base     Base   // of a file
	Mtime    int64  // ns since 1970
	Replaced bool   // by a newer version; else it was deleted, or moved to the bin
	Below    Ino    // the folder that went to the bin, with all that is in it; 0: it was a file
}

// noteLost reports that a file's content goes. What was in the bin already is no loss, and what belongs to a share
// that was taken back isn't ours to keep.
func (tx *Tx) noteLost(e *Inode, replaced bool) {
	if e.Kind != File || e.Removed || e.Base.Handle == "" || e.Size == 0 || e.Pending.Has(PendingContent|PendingCreate) {
		return
	}
	if path, ok := tx.formerPath(e); ok {
		tx.Note(Change{Ino: e.Ino, Lost: &Lost{Path: path, Base: e.Base, Mtime: e.Mtime, Replaced: replaced}})
	}
}

// noteTrashed reports that something goes to the bin.
func (tx *Tx) noteTrashed(e *Inode) {
	if e.Kind == File {
		tx.noteLost(e, false)
		return
	}
	if path, ok := tx.formerPath(e); ok && !e.Removed {
		tx.Note(Change{Ino: e.Ino, Lost: &Lost{Path: path, Below: e.Ino}})
	}
}

// ownName is the name of an inode without what tells it from another one of that name.
func ownName(in *Inode) string {
	if in.Cloud == nil || placedHere(in) {
		return in.Name
	}
	return Shown(in.Cloud.Name)
}

// FormerPath gives the path of an inode of the drive that is there, or was until it or something above it was removed;
// false if nobody can say.
func (tx *Tx) FormerPath(ino Ino) (string, bool) {
	in, err := tx.peek(ino)
	if err != nil {
		return "", false
	}
	return tx.formerPath(in)
}

// formerPath gives the path at which an inode is, or was until something above it was removed.
func (tx *Tx) formerPath(e *Inode) (string, bool) {
	names := []string{}
	at := e
	for range maxDepth {
		switch {
		case at.Parent == 0 && at.Ino == DriveIno, at.Parent == SharesIno && !at.Removed:
			if at.Parent == SharesIno {
				names = append(names, ownName(at))
			}
			slices.Reverse(names)
			return "/" + strings.Join(names, "/"), true
		case at.Parent == 0 || at.Parent == SharesIno || at.Name == "":
			return "", false
		}
		names = append(names, ownName(at))
		var swept sweepRow
		if gone, err := tx.row(inoKey(rowSweep, at.Parent), &swept); err == nil && gone { // its own row may be gone too
			if swept.Path == "" { // it was in the bin
				return "", false
			}
			slices.Reverse(names)
			return strings.TrimSuffix(swept.Path, "/") + "/" + strings.Join(names, "/"), true
		}
		up, err := tx.peek(at.Parent)
		if err != nil {
			return "", false
		}
		at = up
	}
	return "", false
}
