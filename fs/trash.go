package fs

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback/tree"
)

// Desktops look for their trash at the top of a mount: .Trash-UID, with files/ and info/ in it. Here it is a folder of
// the engine's that only this machine has (writeback/trash.go says what becomes of what is moved there). Like the hidden
// folder it can be looked up and isn't listed; everything in it is an inode like any other. A real folder of that name,
// which another client made, wins.

const trashPrefix = ".Trash"

// trasher is an engine with a trash for what is mounted.
type trasher interface {
	Trash(ctx context.Context, root tree.Ino) (tree.Inode, error)
}

func trashName(uid uint32) string { return trashPrefix + "-" + strconv.FormatUint(uint64(uid), 10) }

// isTrash tells whether a name in a folder means the trash.
func (b *bridge) isTrash(parent uint64, name string) bool {
	return b.trash != nil && name == trashName(b.uid) && b.ino(parent) == b.root && b.absent(name)
}

// isOthersTrash tells whether a name in a folder is one under which a desktop would make somebody else's trash: of those
// there is no view, and what they hold would be in the cloud.
func (b *bridge) isOthersTrash(parent uint64, name string) bool {
	return strings.HasPrefix(name, trashPrefix) && name != trashName(b.uid) && b.ino(parent) == b.root &&
		(name == trashPrefix || isNumber(strings.TrimPrefix(name, trashPrefix+"-")))
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 32)
	return err == nil
}

// absent tells whether the mounted folder really has no such name.
func (b *bridge) absent(name string) bool {
	_, err := b.table.Lookup(b.root, name)
	return errors.Is(err, tree.ErrNotFound) || errors.Is(err, tree.ErrStale)
}

// lookupTrash finds the trash, and makes it when it is looked for the first time. The kernel doesn't keep its name.
func (b *bridge) lookupTrash(cancel <-chan struct{}, out *fuse.EntryOut) fuse.Status {
	ctx := b.request(cancel)
	defer ctx.end()
	err := b.waitReady(ctx)
	var dir tree.Inode
	if err == nil {
		dir, err = b.trash.Trash(ctx, b.root)
	}
	if err != nil {
		return b.status("trash", err)
	}
	b.fillEntry(out, &dir, b.timeoutsNow())
	out.SetEntryTimeout(0)
	return fuse.OK
}
