package fs

import (
	"strings"

	"megadisk/megaclient"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// maxDepth bounds the walk from an inode up to the drive.
const maxDepth = 4096

// upward walks from an inode to the fixed one above it: the names on the way, and what may be done there.
func (b *bridge) upward(ino tree.Ino) (root tree.Ino, names []string, access int, err error) {
	access = megaclient.AccessOwner
	for range maxDepth {
		row, err := b.table.Get(ino)
		if err != nil || row.Removed {
			return 0, nil, 0, writeback.ErrNoXattr
		}
		if row.Parent == 0 {
			return ino, names, access, nil
		}
		if row.Parent == tree.SharesIno && row.Cloud != nil {
			access = row.Cloud.Access
		}
		names = append([]string{row.Name}, names...)
		ino = row.Parent
	}
	return 0, nil, 0, writeback.ErrNoXattr
}

// pathAttr is where something is in the drive, whatever folder of it is mounted. What others share has no such path.
func (b *bridge) pathAttr(ino tree.Ino) (string, error) {
	root, names, _, err := b.upward(ino)
	if err != nil {
		return "", err
	}
	if root != tree.DriveIno {
		return "", writeback.ErrNoXattr
	}
	return "/" + strings.Join(names, "/"), nil
}

// accessAttr is what may be done: read, write (add, but neither rename nor delete), full, or owner.
func (b *bridge) accessAttr(ino tree.Ino) (string, error) {
	_, _, access, err := b.upward(ino)
	if err != nil {
		return "", err
	}
	if b.readOnly {
		return "read", nil
	}
	switch access {
	case megaclient.AccessRead:
		return "read", nil
	case megaclient.AccessWrite:
		return "write", nil
	case megaclient.AccessFull:
		return "full", nil
	}
	return "owner", nil
}
