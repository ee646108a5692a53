package fs

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// What MEGA knows of a file can be read as extended attributes, by name:
//
//	user.mega.handle    the node's handle
//	user.mega.path      where it is in the drive
//	user.mega.owner     the handle of the user whose it is
//	user.mega.access    what may be done: read, write, full, owner
//	user.mega.link      the public link; writing anything makes one, writing nothing, or removing it, takes it back
//	user.mega.versions  how many older versions there are
//	user.mega.state     where the content is and whether it is in the cloud, in a word (state.go)
//	user.mega.reason    why it isn't, as far as something holds it back
//	user.mega.verified  how far the content that is here has been checked
//
// They are not listed: cp -a, tar and rsync copy what is listed, and would fail to set it where they copy to. One that
// doesn't apply (a file that isn't in the cloud has no handle) is absent.
//
// Any other user.* is the programs' own: kept with the node, and listed. trusted.*, security.* and system.* aren't
// stored.
const (
	userPrefix  = "user."
	xattrPrefix = userPrefix + "mega."
)

// GetXAttr reads one attribute. Those that the kernel and ls ask of each file, at each write, are answered without
// looking at anything: there are none.
func (b *bridge) GetXAttr(_ <-chan struct{}, header *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	value, err := b.xattr(b.ino(header.NodeId), attr)
	if err != nil {
		return 0, b.status("getxattr", err)
	}
	return answerXattr(dest, value)
}

func answerXattr(dest []byte, value string) (uint32, fuse.Status) {
	if len(value) > len(dest) {
		return uint32(len(value)), fuse.ERANGE // go-fuse answers a question for the size with it
	}
	return uint32(copy(dest, value)), fuse.OK
}

// xattr gives the value of an attribute by its whole name.
func (b *bridge) xattr(ino tree.Ino, attr string) (string, error) {
	if name, ours := strings.CutPrefix(attr, xattrPrefix); ours {
		return b.megaAttr(ino, name)
	}
	name, users := strings.CutPrefix(attr, userPrefix)
	if !users {
		return "", writeback.ErrNoXattr
	}
	row, err := b.engine.Stat(ino)
	if err != nil {
		return "", err
	}
	value, ok := row.Xattrs[name]
	if !ok {
		return "", writeback.ErrNoXattr
	}
	return value, nil
}

// ListXAttr lists the programs' attributes, each name ended by NUL.
func (b *bridge) ListXAttr(_ <-chan struct{}, header *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	row, err := b.engine.Stat(b.ino(header.NodeId))
	if err != nil {
		return 0, b.status("listxattr", err)
	}
	var list strings.Builder
	for _, name := range slices.Sorted(maps.Keys(row.Xattrs)) {
		list.WriteString(userPrefix + name + "\x00")
	}
	return answerXattr(dest, list.String())
}

// SetXAttr sets a program's attribute; user.mega.* are facts, but for the link.
func (b *bridge) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	if attr == linkAttr && b.makeLink != nil {
		return b.setLink(cancel, in.NodeId, len(data) == 0)
	}
	name, status := settable(attr)
	if !status.Ok() {
		return status
	}
	mode := writeback.XattrAny
	switch in.Flags & (unix.XATTR_CREATE | unix.XATTR_REPLACE) {
	case unix.XATTR_CREATE:
		mode = writeback.XattrCreate
	case unix.XATTR_REPLACE:
		mode = writeback.XattrReplace
	}
	ctx := b.request(cancel)
	defer ctx.end()
	return b.status("setxattr", b.engine.SetXattr(ctx, b.ino(in.NodeId), name, string(data), mode))
}

// RemoveXAttr removes a program's attribute.
func (b *bridge) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string) fuse.Status {
	if attr == linkAttr && b.makeLink != nil {
		return b.setLink(cancel, header.NodeId, true)
	}
	name, status := settable(attr)
	if !status.Ok() {
		return status
	}
	ctx := b.request(cancel)
	defer ctx.end()
	return b.status("removexattr", b.engine.RemoveXattr(ctx, b.ino(header.NodeId), name))
}

// linkAttr is the one of ours that can be written.
const linkAttr = xattrPrefix + "link"

func (b *bridge) setLink(cancel <-chan struct{}, node uint64, remove bool) fuse.Status {
	ctx := b.request(cancel)
	defer ctx.end()
	return b.status("setxattr", b.makeLink(ctx, b.ino(node), remove))
}

// settable gives the name, without "user.", of an attribute that programs may set.
func settable(attr string) (string, fuse.Status) {
	name, users := strings.CutPrefix(attr, userPrefix)
	switch {
	case !users:
		return "", fuse.ENOTSUP
	case strings.HasPrefix(attr, xattrPrefix):
		return "", fuse.EPERM
	}
	return name, fuse.OK
}

// megaAttr gives the value of user.mega.NAME.
func (b *bridge) megaAttr(ino tree.Ino, name string) (string, error) {
	switch name {
	case "state":
		return b.stateAttr(ino)
	case "reason":
		return b.reasonAttr(ino)
	case "path":
		return b.pathAttr(ino)
	case "access":
		return b.accessAttr(ino)
	case "handle", "link", "owner", "versions", "verified":
	default:
		return "", writeback.ErrNoXattr
	}
	row, err := b.engine.Stat(ino)
	if err != nil {
		return "", err
	}
	if row.Cloud == nil {
		return "", writeback.ErrNoXattr
	}
	switch name {
	case "handle":
		return string(row.Cloud.Handle), nil
	case "owner":
		if row.Cloud.Owner == "" {
			return "", writeback.ErrNoXattr
		}
		return string(row.Cloud.Owner), nil
	case "link":
		return b.publicLink(row.Cloud)
	case "versions":
		return strconv.Itoa(row.Cloud.Versions), nil
	default:
		return b.verifiedAttr(&row)
	}
}

// publicLink makes the link of something exported.
func (b *bridge) publicLink(c *tree.Cloud) (string, error) {
	link := megacrypto.Link{Kind: megacrypto.FileLink, Handle: string(c.Link), Key: c.Key}
	if c.Type != megaclient.FileNode {
		link.Kind, link.Key = megacrypto.FolderLink, nil
		if b.shareKey != nil {
			if key, known := b.shareKey(c.Handle); known {
				link.Key = key[:]
			}
		}
	}
	if c.Link == "" || len(link.Key) == 0 {
		return "", writeback.ErrNoXattr
	}
	return link.String(), nil
}

// verifiedAttr tells how far the version in the cloud has been checked, as far as it is here: yes, no, or quarantined.
func (b *bridge) verifiedAttr(row *tree.Inode) (string, error) {
	state, ok := b.cacheState(row)
	switch {
	case !ok:
		return "", writeback.ErrNoXattr
	case state.Quarantined:
		return "quarantined", nil
	}
	return state.Verified.String(), nil
}

// cacheState is what the cache knows of the version in the cloud.
func (b *bridge) cacheState(row *tree.Inode) (cache.State, bool) {
	f, ok := b.cacheFile(row)
	if !ok {
		return cache.State{}, false
	}
	return b.cache.State(f), true
}

// cacheFile is the version in the cloud as the cache knows it.
func (b *bridge) cacheFile(row *tree.Inode) (cache.File, bool) {
	if b.cache == nil || row.Base.Handle == "" {
		return cache.File{}, false
	}
	key, err := megacrypto.UnpackFileKey(row.Base.Key)
	if err != nil {
		return cache.File{}, false
	}
	return cache.File{Handle: string(row.Base.Handle), Key: key, Size: row.Base.Size}, true
}

// standing is what the kernel's pages of the version in the cloud are worth.
func (b *bridge) standing(row *tree.Inode, stamp int64) (now int64, s cache.Standing) {
	f, ok := b.cacheFile(row)
	if !ok {
		return 0, cache.Good // nothing of it is from the cloud
	}
	return b.cache.Standing(f, stamp)
}
