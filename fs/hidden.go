package fs

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"syscall"
	"time"

	"megadisk/megaclient"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// The hidden folder shows what has no place in the drive:
//
//	.mega/versions/PATH/TIME     earlier versions of the file at PATH
//	.mega/rubbish                the Rubbish Bin
//	.mega/shares/OWNER/NAME      what others share with this account
//	.mega/vault                  the vault (inbox), read-only
//	.mega/status.json            what the process is doing
//
// It stands in the root of each mount, can be looked up, and isn't listed, so that find and du don't enter it. Bin,
// vault and shares have rows in the tree and are inodes like any other. The rest has none: its numbers begin at 2^62,
// the kernel keeps nothing of it, and it is read-only.
//
//	bits   63 62   61..56   55..0
//	        0  1    kind    value
//
// So a number says all by itself, and nothing has to be remembered for the kernel.
const (
	// HiddenName is the hidden folder's usual name.
	HiddenName = ".mega"

	hiddenFirst = 1 << 62
	kindShift   = 56
	valueMask   = 1<<kindShift - 1
)

// hiddenKind says what a hidden number's value is.
type hiddenKind uint8

const (
	kindTop     hiddenKind = iota // nothing: .mega itself
	kindShares                    // nothing: .mega/shares
	kindStatus                    // nothing: .mega/status.json
	kindOwner                     // a hash of who shares: .mega/shares/OWNER
	kindHistory                   // the inode whose earlier versions, or of what is in it, are below: a folder
	kindVersion                   // the handle of an earlier version
)

// isHidden tells whether a node id stands for something without a row.
func isHidden(nodeID uint64) bool { return nodeID >= hiddenFirst }

func hiddenID(kind hiddenKind, value uint64) uint64 {
	return hiddenFirst | uint64(kind)<<kindShift | value&valueMask
}

func splitHidden(id uint64) (hiddenKind, uint64) {
	return hiddenKind(id &^ hiddenFirst >> kindShift), id & valueMask
}

// versionID makes the number of an earlier version of its handle: six bytes in base64. 0: it is no such handle.
func versionID(h megaclient.Handle) uint64 {
	raw, err := handleText.DecodeString(string(h))
	if err != nil || len(raw) != handleBytes {
		return 0
	}
	var n uint64
	for _, b := range raw {
		n = n<<8 | uint64(b)
	}
	return hiddenID(kindVersion, n)
}

func handleOf(value uint64) megaclient.Handle {
	raw := make([]byte, handleBytes)
	for i := range raw {
		raw[i] = byte(value >> (8 * (handleBytes - 1 - i)))
	}
	return megaclient.Handle(handleText.EncodeToString(raw))
}

func ownerID(h megaclient.UserHandle) uint64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(h))
	return hiddenID(kindOwner, sum.Sum64())
}

// child is what a hidden folder holds: something hidden, or an inode.
type child struct {
	name  string
	order string // what it is listed by, where the name may change; "": the name
	id    uint64
	mode  uint32 // type and permissions
	size  int64
	mtime int64       // ns since 1970
	row   *tree.Inode // of an inode
}

// at is where it stands in a listing.
func (c child) at() string { return cmp.Or(c.order, c.name) }

func (b *bridge) hiddenDir(name string, id uint64, mtime int64) child {
	return child{name: name, id: id, mode: syscall.S_IFDIR | 0o555, mtime: mtime}
}

func (b *bridge) rowChild(name string, row tree.Inode) child {
	return child{name: name, id: b.nodeID(row.Ino), mode: b.mode(&row), row: &row}
}

func (b *bridge) statusFile() child {
	return child{name: "status.json", id: hiddenID(kindStatus, 0), mode: syscall.S_IFREG | 0o444, mtime: time.Now().UnixNano()}
}

func versionChild(v writeback.Version) child {
	return child{name: v.Name, id: versionID(v.Handle), mode: syscall.S_IFREG | 0o444, size: v.Size, mtime: v.Created.UnixNano()}
}

// topOf is the hidden folder of this mount, if a name in a folder means it: there is no real one.
func (b *bridge) topOf(parent uint64, name string) (child, bool) {
	if name != b.hidden || b.ino(parent) != b.root || !b.absent(name) {
		return child{}, false
	}
	return b.hiddenDir(name, hiddenID(kindTop, 0), b.born), true
}

// self gives what a hidden number stands for, without a name.
func (b *bridge) self(id uint64) (child, error) {
	kind, value := splitHidden(id)
	switch kind {
	case kindTop, kindShares, kindOwner:
		return b.hiddenDir("", id, b.born), nil
	case kindStatus:
		return b.statusFile(), nil
	case kindHistory:
		row, err := b.table.Get(tree.Ino(value))
		return b.hiddenDir("", id, row.Mtime), err
	case kindVersion:
		v, err := b.engine.VersionOf(handleOf(value))
		return versionChild(v), err
	}
	return child{}, tree.ErrStale
}

// children lists a hidden folder in order, from after a place on; at least one, if there is one.
func (b *bridge) children(id uint64, after string) ([]child, error) {
	kind, value := splitHidden(id)
	var list []child
	var err error
	switch kind {
	case kindTop:
		list, err = b.topChildren()
	case kindShares:
		list, err = b.ownerChildren()
	case kindOwner:
		list, err = b.shareChildren(id)
	case kindHistory:
		return b.historyChildren(tree.Ino(value), after)
	default:
		return nil, tree.ErrNotDir
	}
	return slices.DeleteFunc(list, func(c child) bool { return c.at() <= after }), err
}

func (b *bridge) topChildren() ([]child, error) {
	bin, err := b.table.Get(tree.BinIno)
	if err != nil {
		return nil, err
	}
	vault, err := b.table.Get(tree.VaultIno)
	if err != nil {
		return nil, err
	}
	return []child{
		b.rowChild("rubbish", bin),
		b.hiddenDir("shares", hiddenID(kindShares, 0), b.born),
		b.statusFile(),
		b.rowChild("vault", vault),
		b.hiddenDir("versions", hiddenID(kindHistory, uint64(b.root)), b.born),
	}, nil
}

// shareRoots lists what others share, but for a share in which the mounted folder itself lies: one folder can't be in
// two places of a mount.
func (b *bridge) shareRoots() ([]tree.Inode, error) {
	roots, err := b.table.ReadDir(tree.SharesIno, "", 0)
	if err != nil {
		return nil, err
	}
	above := map[tree.Ino]bool{}
	for ino := b.root; ino != 0 && !above[ino]; {
		above[ino] = true
		row, err := b.table.Get(ino)
		if err != nil {
			break
		}
		ino = row.Parent
	}
	return slices.DeleteFunc(roots, func(r tree.Inode) bool { return r.Cloud == nil || above[r.Ino] }), nil
}

// ownerChildren lists who shares something, by the handle: so nobody is skipped or given twice when an address becomes
// known between two parts of a listing.
func (b *bridge) ownerChildren() ([]child, error) {
	roots, err := b.shareRoots()
	var list []child
	for _, r := range roots {
		id := ownerID(r.Cloud.SharedBy)
		if !slices.ContainsFunc(list, func(c child) bool { return c.id == id }) {
			c := b.hiddenDir(b.engine.ShareOwner(r.Cloud.SharedBy), id, b.born)
			c.order = string(r.Cloud.SharedBy)
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(x, y child) int { return strings.Compare(x.order, y.order) })
	return list, err
}

func (b *bridge) shareChildren(owner uint64) ([]child, error) {
	roots, err := b.shareRoots()
	var list []child
	for _, r := range roots {
		if ownerID(r.Cloud.SharedBy) == owner {
			list = append(list, b.rowChild(r.Name, r))
		}
	}
	return list, err
}

// historyChildren lists what has earlier versions in a folder, or the earlier versions of a file.
func (b *bridge) historyChildren(ino tree.Ino, after string) ([]child, error) {
	row, err := b.table.Get(ino)
	if err != nil {
		return nil, err
	}
	var list []child
	if row.Kind == tree.File {
		versions, err := b.engine.Versions(ino)
		for _, v := range versions {
			if v.Name > after && versionID(v.Handle) != 0 {
				list = append(list, versionChild(v))
			}
		}
		return list, err
	}
	for len(list) == 0 {
		rows, err := b.table.ReadDir(ino, after, listBatch)
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		for _, r := range rows {
			if b.hasHistory(&r) {
				list = append(list, b.hiddenDir(r.Name, hiddenID(kindHistory, uint64(r.Ino)), r.Mtime))
			}
			after = r.Name
		}
	}
	return list, nil
}

func (b *bridge) hasHistory(row *tree.Inode) bool {
	return row.Kind == tree.Dir || row.Cloud != nil && row.Cloud.Versions > 0
}

// childNamed finds a name in a hidden folder.
func (b *bridge) childNamed(id uint64, name string) (child, error) {
	if kind, value := splitHidden(id); kind == kindHistory {
		if dir, err := b.table.Get(tree.Ino(value)); err == nil && dir.Kind == tree.Dir {
			row, err := b.table.Lookup(dir.Ino, name)
			if err == nil && !b.hasHistory(&row) {
				err = tree.ErrNotFound
			}
			return b.hiddenDir(name, hiddenID(kindHistory, uint64(row.Ino)), row.Mtime), err
		}
	}
	list, err := b.children(id, "")
	if err != nil {
		return child{}, err
	}
	for _, c := range list {
		if c.name == name {
			return c, nil
		}
	}
	for _, c := range list {
		if c.id == ownerID(megaclient.UserHandle(name)) {
			return c, nil // who is named by the address is still found by the handle, which was the name before that was known
		}
	}
	return child{}, tree.ErrNotFound
}
