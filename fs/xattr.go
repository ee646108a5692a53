package fs

import (
	"errors"
	"strconv"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// What MEGA knows of a file can be read as extended attributes, by name:
//
//	user.mega.handle    the node's handle
//	user.mega.link      the public link of an exported file
//	user.mega.versions  how many older versions there are
//	user.mega.state     where the content is: what is pending, and why
//	user.mega.verified  how far the content that is here has been checked
//
// They are not listed: cp -a, tar and rsync copy what is listed, and would fail to set it where they copy to. One that
// doesn't apply (a file that isn't in the cloud has no handle) is absent.
const xattrPrefix = "user.mega."

// noXattr is the errno for an attribute that isn't there.
const noXattr = fuse.ENODATA

var errNoXattr = errors.New("no such attribute")

// GetXAttr reads one attribute. Those that the kernel and ls ask of each file, at each write, are answered without
// looking at anything: there are none.
func (b *bridge) GetXAttr(_ <-chan struct{}, header *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	name, ours := strings.CutPrefix(attr, xattrPrefix)
	if !ours {
		return 0, noXattr
	}
	value, err := b.megaAttr(b.ino(header.NodeId), name)
	if errors.Is(err, errNoXattr) {
		return 0, noXattr
	}
	if err != nil {
		return 0, b.status("getxattr", err)
	}
	if len(value) > len(dest) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

// ListXAttr lists nothing; see above.
func (b *bridge) ListXAttr(<-chan struct{}, *fuse.InHeader, []byte) (uint32, fuse.Status) {
	return 0, fuse.OK
}

// SetXAttr is refused: attributes can't be stored yet, and user.mega.* are facts.
func (b *bridge) SetXAttr(_ <-chan struct{}, _ *fuse.SetXAttrIn, attr string, _ []byte) fuse.Status {
	return refuseXattr(attr)
}

// RemoveXAttr is refused likewise.
func (b *bridge) RemoveXAttr(_ <-chan struct{}, _ *fuse.InHeader, attr string) fuse.Status {
	return refuseXattr(attr)
}

func refuseXattr(attr string) fuse.Status {
	if strings.HasPrefix(attr, xattrPrefix) {
		return fuse.EPERM
	}
	return fuse.ENOTSUP
}

// megaAttr gives the value of user.mega.NAME.
func (b *bridge) megaAttr(ino tree.Ino, name string) (string, error) {
	switch name {
	case "state":
		return b.engine.FileState(ino)
	case "handle", "link", "versions", "verified":
	default:
		return "", errNoXattr
	}
	row, err := b.engine.Stat(ino)
	if err != nil {
		return "", err
	}
	if row.Cloud == nil {
		return "", errNoXattr
	}
	switch name {
	case "handle":
		return string(row.Cloud.Handle), nil
	case "link":
		return publicLink(row.Cloud)
	case "versions":
		return strconv.Itoa(row.Cloud.Versions), nil
	default:
		return b.verifiedAttr(&row)
	}
}

// publicLink makes the link of an exported file. A folder's needs the folder's share key, which isn't in its row.
func publicLink(c *tree.Cloud) (string, error) {
	if c.Link == "" || c.Type != megaclient.FileNode || len(c.Key) == 0 {
		return "", errNoXattr
	}
	return megacrypto.Link{Kind: megacrypto.FileLink, Handle: string(c.Link), Key: c.Key}.String(), nil
}

// verifiedAttr tells how far the version in the cloud has been checked, as far as it is here: yes, no, or quarantined.
func (b *bridge) verifiedAttr(row *tree.Inode) (string, error) {
	if b.cache == nil || row.Base.Handle == "" {
		return "", errNoXattr
	}
	key, err := megacrypto.UnpackFileKey(row.Base.Key)
	if err != nil {
		return "", errNoXattr
	}
	state := b.cache.State(cache.File{Handle: string(row.Base.Handle), Key: key, Size: row.Base.Size})
	if state.Quarantined {
		return "quarantined", nil
	}
	return state.Verified.String(), nil
}
