package fs

import (
	"errors"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback/tree"
)

// A listing is in the order of the names' bytes, and its cookie is the inode number of the last entry given: the next
// part begins after the name that this inode has. So a cookie is good in any handle of the folder (the kernel goes on
// from its own cached pages in a handle that never asked us before), nothing is skipped or given twice when names come
// and go between two calls, and a folder of any size costs no memory. A removed entry's row still says its name; an
// entry renamed since is found in the handle's memory of the last part given.
const (
	cookieStart  = 0
	cookieDot    = 1 // after "."; no inode below 16 is ever in a listing
	cookieDotDot = 2 // after ".."
	listBatch    = 256
)

// dirHandle is one open of a folder.
type dirHandle struct {
	id  uint64
	ino tree.Ino

	mu   sync.Mutex
	last []place // GUARDED_BY(mu); the part given last
}

// place is an entry that was given: the cookie that stands for it, and its name then.
type place struct {
	cookie uint64
	name   string
}

// OpenDir opens a folder. The kernel may keep its listing, except while the first tree is still coming.
func (b *bridge) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	ino := b.ino(in.NodeId)
	h := b.dirs.add(func(id uint64) *dirHandle { return &dirHandle{id: id, ino: ino} })
	out.Fh = h.id
	if b.looked != nil && isOne(b.lookers, ProcessName(in.Pid)) {
		b.looked(ino)
	}
	if b.ready.Load() {
		out.OpenFlags = fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE
	}
	return fuse.OK
}

// ReleaseDir ends a folder's handle.
func (b *bridge) ReleaseDir(in *fuse.ReleaseIn) { b.dirs.remove(in.Fh) }

// ReadDir gives names, types and inode numbers.
func (b *bridge) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return b.list(in, out, func(e fuse.DirEntry, _ *tree.Inode, _ uint64) bool { return out.AddDirEntry(e) })
}

// ReadDirPlus gives attributes as well, of files to those who use them; each entry that has some counts as looked up.
func (b *bridge) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	t := b.timeoutsNow()
	bare := in.Offset == cookieStart && b.ready.Load() && b.listers.list(in.Pid, b.ino(in.NodeId))
	return b.list(in, out, func(e fuse.DirEntry, row *tree.Inode, generation uint64) bool {
		entry := out.AddDirLookupEntry(e)
		if entry == nil {
			return false
		}
		if row != nil && (row.Kind == tree.Dir || !bare) { // else it keeps node id 0, as "." and "..": not looked up
			now := b.freshSince(row, generation)
			b.fillEntry(entry, &now, t)
		}
		return true
	})
}

// freshSince is fresh for one of many rows, read when the tree had that generation: only if there is another one by now is
// it read again.
func (b *bridge) freshSince(row *tree.Inode, generation uint64) tree.Inode {
	if row.Kind != tree.File {
		return *row
	}
	now := b.engine.Fresh(*row)
	if b.table.Generation() != generation { // asked last: a file that is closed is committed before
		return b.fresh(*row)
	}
	return now
}

// emitter takes an entry with its row (nil: "." or "..") and the generation of the tree that it was read in; false: it has
// no room.
type emitter = func(e fuse.DirEntry, row *tree.Inode, generation uint64) bool

// list gives entries after the cookie in.Offset until emit says that no more fit.
func (b *bridge) list(in *fuse.ReadIn, out *fuse.DirEntryList, emit emitter) fuse.Status {
	h, ok := b.dirs.get(in.Fh)
	if !ok {
		return fuse.EBADF
	}
	cookie := in.Offset
	for cookie < cookieDotDot {
		e, err := b.dotEntry(h.ino, cookie)
		if err != nil {
			return b.status("readdir", err)
		}
		if !emit(e, nil, 0) {
			return fuse.OK
		}
		cookie = e.Off
	}
	after, err := b.nameAt(h, cookie)
	if err != nil {
		return b.status("readdir", err)
	}
	return b.listAfter(h, after, emit)
}

// listAfter gives the entries after a name, and remembers them as the part that the handle gave last.
func (b *bridge) listAfter(h *dirHandle, after string, emit emitter) fuse.Status {
	var given []place
	defer func() {
		if len(given) > 0 {
			h.remember(given)
		}
	}()
	for {
		generation := b.table.Generation()
		rows, err := b.table.ReadDir(h.ino, after, listBatch)
		if err != nil {
			return b.status("readdir", err)
		}
		for i := range rows {
			row := &rows[i]
			cookie := uint64(row.Ino)
			e := fuse.DirEntry{Name: row.Name, Ino: b.nodeID(row.Ino), Mode: typeOf(row), Off: cookie}
			if !emit(e, row, generation) {
				return fuse.OK
			}
			given = append(given, place{cookie, row.Name})
			after = row.Name
		}
		if len(rows) < listBatch {
			return fuse.OK
		}
	}
}

// dotEntry makes "." or "..". The kernel replaces neither, it expects them from us.
func (b *bridge) dotEntry(dir tree.Ino, cookie uint64) (fuse.DirEntry, error) {
	if cookie == cookieStart {
		return fuse.DirEntry{Name: ".", Ino: b.nodeID(dir), Mode: syscall.S_IFDIR, Off: cookieDot}, nil
	}
	up := fuse.DirEntry{Name: "..", Ino: fuse.FUSE_ROOT_ID, Mode: syscall.S_IFDIR, Off: cookieDotDot}
	if dir == b.root {
		return up, nil
	}
	row, err := b.table.Get(dir)
	switch {
	case err != nil:
		return up, err
	case row.Parent == 0: // bin and vault
		up.Ino = hiddenID(kindTop, 0)
		return up, nil
	case row.Parent == tree.SharesIno && row.Cloud != nil:
		up.Ino = ownerID(row.Cloud.SharedBy)
		return up, nil
	}
	up.Ino = b.nodeID(row.Parent)
	return up, nil
}

// nameAt finds the name after which a listing goes on.
func (b *bridge) nameAt(h *dirHandle, cookie uint64) (string, error) {
	if cookie == cookieDotDot {
		return "", nil
	}
	if name, ok := h.recall(cookie); ok {
		return name, nil
	}
	row, err := b.table.Get(tree.Ino(cookie))
	if errors.Is(err, tree.ErrNotFound) || errors.Is(err, tree.ErrStale) || (err == nil && row.Parent != h.ino) {
		return "", tree.ErrInvalid // neither this handle nor the tree knows what the cookie stood for
	}
	return row.Name, err
}

func (h *dirHandle) remember(given []place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = given
}

// recall looks from the end: nearly always the kernel goes on where the last part ended.
func (h *dirHandle) recall(cookie uint64) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.last) - 1; i >= 0; i-- {
		if h.last[i].cookie == cookie {
			return h.last[i].name, true
		}
	}
	return "", false
}
