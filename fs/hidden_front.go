package fs

import (
	"encoding/base64"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

const handleBytes = 6

var handleText = base64.RawURLEncoding

// front is what the kernel talks to: it answers for what has no row in the tree, guards the hidden folder's name, and
// passes everything else on. Handles of both kinds are in the same tables.
type front struct{ *bridge }

// Lookup finds the hidden folder, and what is in it. The kernel keeps none of the names.
func (f front) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if f.isTrash(header.NodeId, name) {
		return f.lookupTrash(cancel, out)
	}
	c, found := f.topOf(header.NodeId, name)
	if !found && !isHidden(header.NodeId) {
		return f.bridge.Lookup(cancel, header, name, out)
	}
	if !found {
		var err error
		if c, err = f.childNamed(header.NodeId, name); err != nil {
			return f.status("lookup", err)
		}
	}
	if c.row != nil {
		now := f.fresh(*c.row)
		f.fillEntry(out, &now, f.timeoutsNow())
		out.SetEntryTimeout(0)
		return fuse.OK
	}
	out.NodeId = c.id
	f.fillHidden(&out.Attr, c)
	return fuse.OK
}

// fillHidden writes the attributes of something without a row.
func (b *bridge) fillHidden(out *fuse.Attr, c child) {
	*out = fuse.Attr{
		Ino: c.id, Mode: c.mode, Owner: fuse.Owner{Uid: b.uid, Gid: b.gid}, Nlink: 1, Blksize: blockSize,
		Size: uint64(max(c.size, 0)), Blocks: uint64(max(c.size, 0)+511) / 512,
	}
	if c.mode&fuse.S_IFDIR != 0 {
		out.Nlink = 2
	}
	out.Mtime, out.Mtimensec = split(c.mtime)
	out.Ctime, out.Ctimensec = out.Mtime, out.Mtimensec
	out.Atime, out.Atimensec = out.Mtime, out.Mtimensec
}

// Forget is of no interest for what has no row.
func (f front) Forget(nodeID, n uint64) {
	if !isHidden(nodeID) {
		f.bridge.Forget(nodeID, n)
	}
}

// GetAttr tells what a hidden number stands for.
func (f front) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if !isHidden(in.NodeId) {
		return f.bridge.GetAttr(cancel, in, out)
	}
	c, err := f.self(in.NodeId)
	if err != nil {
		return f.status("getattr", err)
	}
	f.fillHidden(&out.Attr, c)
	return fuse.OK
}

// SetAttr is refused: what has no row is read-only.
func (f front) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if isHidden(in.NodeId) {
		return fuse.EROFS
	}
	return f.bridge.SetAttr(cancel, in, out)
}

// closed tells whether a name can't be given, or taken away: in a hidden folder, or the hidden folder's own, or the trash's.
func (f front) closed(parent uint64, name string, taken fuse.Status) fuse.Status {
	if isHidden(parent) {
		return fuse.EROFS
	}
	if _, ok := f.topOf(parent, name); ok || f.isTrash(parent, name) {
		return taken
	}
	return fuse.OK
}

// Mknod refuses the hidden folder's name.
func (f front) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if s := f.closed(in.NodeId, name, existing); !s.Ok() {
		return s
	}
	return f.bridge.Mknod(cancel, in, name, out)
}

const existing = fuse.Status(syscall.EEXIST)

// Mkdir refuses the hidden folder's name, and that of somebody else's trash.
func (f front) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if f.isOthersTrash(in.NodeId, name) {
		return fuse.EPERM
	}
	if s := f.closed(in.NodeId, name, existing); !s.Ok() {
		return s
	}
	return f.bridge.Mkdir(cancel, in, name, out)
}

// Symlink refuses the hidden folder's name.
func (f front) Symlink(cancel <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	if s := f.closed(header.NodeId, name, existing); !s.Ok() {
		return s
	}
	return f.bridge.Symlink(cancel, header, target, name, out)
}

// Create refuses the hidden folder's name.
func (f front) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if s := f.closed(in.NodeId, name, existing); !s.Ok() {
		return s
	}
	return f.bridge.Create(cancel, in, name, out)
}

// Unlink doesn't remove what is hidden.
func (f front) Unlink(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	if s := f.closed(header.NodeId, name, fuse.EPERM); !s.Ok() {
		return s
	}
	return f.bridge.Unlink(cancel, header, name)
}

// Rmdir doesn't remove what is hidden.
func (f front) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	if s := f.closed(header.NodeId, name, fuse.EPERM); !s.Ok() {
		return s
	}
	return f.bridge.Rmdir(cancel, header, name)
}

// Rename neither moves what is hidden nor puts something in its place.
func (f front) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if s := f.closed(in.NodeId, oldName, fuse.EPERM); !s.Ok() {
		return s
	}
	if s := f.closed(in.Newdir, newName, existing); !s.Ok() {
		return s
	}
	return f.bridge.Rename(cancel, in, oldName, newName)
}

// GetXAttr: what has no row has no attributes.
func (f front) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	if isHidden(header.NodeId) {
		return 0, fuse.ENOATTR
	}
	return f.bridge.GetXAttr(cancel, header, attr, dest)
}

// ListXAttr lists none.
func (f front) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	if isHidden(header.NodeId) {
		return 0, fuse.OK
	}
	return f.bridge.ListXAttr(cancel, header, dest)
}

// SetXAttr is refused.
func (f front) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	if isHidden(in.NodeId) {
		return fuse.EROFS
	}
	return f.bridge.SetXAttr(cancel, in, attr, data)
}

// RemoveXAttr is refused.
func (f front) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string) fuse.Status {
	if isHidden(header.NodeId) {
		return fuse.EROFS
	}
	return f.bridge.RemoveXAttr(cancel, header, attr)
}

// Open opens an earlier version, which never changes, or the status of now, which is read past the page cache.
func (f front) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if !isHidden(in.NodeId) {
		return f.bridge.Open(cancel, in, out)
	}
	if in.Flags&fuse.O_ANYWRITE != 0 {
		return fuse.EROFS
	}
	ino := tree.Ino(in.NodeId)
	f.notify.opened(ino)
	content, flags, err := f.openHidden(in.NodeId)
	if err != nil {
		f.notify.closed(ino)
		return f.status("open", err)
	}
	h := f.files.add(func(id uint64) *fileHandle { return &fileHandle{id: id, ino: ino, file: content} })
	h.begun.Store(true) // it is part of no walk
	out.Fh, out.OpenFlags = h.id, flags
	return fuse.OK
}

func (b *bridge) openHidden(id uint64) (file, uint32, error) {
	switch kind, value := splitHidden(id); kind {
	case kindStatus:
		text, err := b.statusNow()
		return textFile{text: text}, fuse.FOPEN_DIRECT_IO, err
	case kindVersion:
		r, err := b.engine.OpenVersion(handleOf(value))
		if err != nil {
			return nil, 0, err
		}
		return versionFile{r: r}, b.versionPages(tree.Ino(id), handleOf(value)), nil
	}
	return nil, 0, tree.ErrIsDir
}

// versionPages is pages of an earlier version that was just opened: nobody changes it, but what came of it may have been wrong.
func (b *bridge) versionPages(ino tree.Ino, h megaclient.Handle) (flags uint32) {
	v, err := b.engine.VersionOf(h)
	if err != nil {
		return 0
	}
	last, _ := b.versions.Get(ino)
	now, standing := b.standing(&tree.Inode{Base: tree.Base{Handle: v.Handle, Key: v.Key, Size: v.Size}}, last.stamp)
	b.versions.Add(ino, opened{v.Handle, now})
	return b.worth(ino, standing)
}

// statusNow gives the content of status.json.
func (b *bridge) statusNow() ([]byte, error) {
	if b.state == nil {
		return []byte("{}\n"), nil
	}
	return b.state(b.life)
}

// OpenDir opens a hidden folder, whose listing the kernel doesn't keep.
func (f front) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if !isHidden(in.NodeId) {
		return f.bridge.OpenDir(cancel, in, out)
	}
	h := f.dirs.add(func(id uint64) *dirHandle { return &dirHandle{id: id, ino: tree.Ino(in.NodeId)} })
	out.Fh = h.id
	return fuse.OK
}

// ReadDir lists a hidden folder.
func (f front) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if !isHidden(in.NodeId) {
		return f.bridge.ReadDir(cancel, in, out)
	}
	return f.listHidden(in, out.AddDirEntry)
}

// ReadDirPlus lists it without attributes: the entries keep node id 0, and the kernel looks up what it needs.
func (f front) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if !isHidden(in.NodeId) {
		return f.bridge.ReadDirPlus(cancel, in, out)
	}
	return f.listHidden(in, func(e fuse.DirEntry) bool { return out.AddDirLookupEntry(e) != nil })
}

// listHidden gives entries after the cookie in.Offset, as list does. A cookie is the node id of the entry.
func (f front) listHidden(in *fuse.ReadIn, emit func(fuse.DirEntry) bool) fuse.Status {
	h, ok := f.dirs.get(in.Fh)
	if !ok {
		return fuse.EBADF
	}
	for at, name := range []string{".", ".."} {
		e := fuse.DirEntry{Name: name, Ino: in.NodeId, Mode: fuse.S_IFDIR, Off: uint64(at) + 1}
		if in.Offset <= uint64(at) && !emit(e) {
			return fuse.OK
		}
	}
	after, err := f.hiddenPlaceAt(h, in.Offset)
	if err != nil {
		return f.status("readdir", err)
	}
	var given []place
	defer func() {
		if len(given) > 0 {
			h.remember(given)
		}
	}()
	for {
		list, err := f.children(in.NodeId, after)
		if err != nil || len(list) == 0 {
			return f.status("readdir", err)
		}
		for _, c := range list {
			if !emit(fuse.DirEntry{Name: c.name, Ino: c.id, Mode: c.mode, Off: c.id}) {
				return fuse.OK
			}
			given = append(given, place{c.id, c.at()})
			after = c.at()
		}
	}
}

// hiddenPlaceAt finds the place after which a listing goes on.
func (f front) hiddenPlaceAt(h *dirHandle, cookie uint64) (string, error) {
	if cookie <= cookieDotDot {
		return "", nil
	}
	if at, ok := h.recall(cookie); ok {
		return at, nil
	}
	for after := ""; ; {
		list, err := f.children(uint64(h.ino), after)
		if err != nil {
			return "", err
		}
		if len(list) == 0 {
			return "", tree.ErrInvalid
		}
		for _, c := range list {
			if c.id == cookie {
				return c.at(), nil
			}
			after = c.at()
		}
	}
}
