package tree

import (
	"slices"
	"strconv"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/sirupsen/logrus"
)

// Ino is an inode's number: for life, never used again, below 2^62.
type Ino uint64

// The inodes with fixed numbers. All but KernelRoot have a row from the moment the database is made.
const (
	KernelRoot Ino = 1 // the kernel's name for a mount's top folder; never a row
	DriveIno   Ino = 2 // the Cloud Drive
	BinIno     Ino = 3 // the Rubbish Bin
	VaultIno   Ino = 4 // the vault (inbox), read-only
	SharesIno  Ino = 5 // holds the roots of incoming shares; not in the cloud itself
	TrashIno   Ino = 6 // holds the trash of each mounted folder; not in the cloud itself

	firstFree Ino = 16
	maxIno    Ino = 1<<62 - 1
)

// String gives the number in decimal, for logs.
func (i Ino) String() string { return strconv.FormatUint(uint64(i), 10) }

// Kind is what an inode is.
type Kind uint8

// The kinds of inode.
const (
	File Kind = 1
	Dir  Kind = 2
)

// Pending is a set of bits: the fields in which an inode differs from the cloud because of something
// done here. A field whose bit is set doesn't follow the cloud; only the shadow (Inode.Cloud) does.
type Pending uint8

// The bits of Pending.
const (
	PendingCreate  Pending = 1 << iota // not in the cloud yet, as far as is known
	PendingPlace                       // parent or name
	PendingContent                     // bytes and size (files)
	PendingAttrs                       // mtime, mode, xattrs: those in Own
	PendingRemove                      // removed here: Removed is set, Cloud tells what must go
)

// Has says whether one of the bits is set.
func (p Pending) Has(bits Pending) bool { return p&bits != 0 }

// Inode is one file or folder as it is shown here. What Get, Lookup and ReadDir return shares Cloud
// with the caches: call Clone before changing anything below a pointer. Tx.Get returns a copy whose
// Cloud struct may be changed (its slices and map may not).
type Inode struct {
	Ino    Ino    `cbor:"1,keyasint"`
	Kind   Kind   `cbor:"2,keyasint"`
	Parent Ino    `cbor:"3,keyasint,omitempty"` // 0 for the fixed inodes
	Name   string `cbor:"4,keyasint,omitempty"` // as shown: bytes that POSIX allows; "" while undecryptable

	Mode    uint32 `cbor:"5,keyasint,omitempty"` // permission bits, if HasMode
	HasMode bool   `cbor:"6,keyasint,omitempty"` // a program has set them
	Size    int64  `cbor:"7,keyasint,omitempty"` // bytes
	Mtime   int64  `cbor:"8,keyasint,omitempty"` // ns since 1970
	Ctime   int64  `cbor:"9,keyasint,omitempty"` // ns
	Btime   int64  `cbor:"10,keyasint,omitempty"`

	Removed bool    `cbor:"11,keyasint,omitempty"` // unlinked here or there; the row waits for Purge
	Pending Pending `cbor:"12,keyasint,omitempty"`
	Cloud   *Cloud  `cbor:"13,keyasint,omitempty"` // the shadow; nil: not in the cloud
	Base    Base    `cbor:"14,keyasint,omitzero"`
	Epoch   uint32  `cbor:"15,keyasint,omitempty"` // of the fetch or packet that last named it

	ModeLocal bool              `cbor:"16,keyasint,omitempty"` // the mode is only what creation gave: not for the cloud
	Exact     bool              `cbor:"17,keyasint,omitempty"` // a program set Mtime, so that its fraction counts
	Link      bool              `cbor:"18,keyasint,omitempty"` // a symbolic link, whose content is the target; see IsLink
	Xattrs    map[string]string `cbor:"19,keyasint,omitempty"` // a program's, without "user."; never changed in place
	Own       Own               `cbor:"20,keyasint,omitempty"` // what PendingAttrs is about; 0 then: all
	Atime     int64             `cbor:"21,keyasint,omitempty"` // ns, if a program has set it; never in the cloud
	Was       Place             `cbor:"22,keyasint,omitzero"`  // where it was when others put it into the bin, or, while it isn't in the cloud, took its name
	Others    map[string]string `cbor:"23,keyasint,omitempty"` // fields of its node that others set and ours replaced (others.go); never changed in place
}

// Place is an entry of a folder.
type Place struct {
	Parent Ino    `cbor:"1,keyasint,omitempty"`
	Name   string `cbor:"2,keyasint,omitempty"`
}

// Base is where bytes of a file that aren't staged come from: a version that the cloud has.
type Base struct {
	Handle megaclient.Handle `cbor:"1,keyasint,omitempty"`
	Key    []byte            `cbor:"2,keyasint,omitempty"` // packed, 32 bytes
	Size   int64             `cbor:"3,keyasint,omitempty"` // of that version
	Limit  int64             `cbor:"4,keyasint,omitempty"` // bytes of it still visible; zeros beyond
}

// Cloud is the shadow of an inode: the node as far as the cloud's side was heard.
type Cloud struct {
	Handle  megaclient.Handle     `cbor:"1,keyasint"`
	Parent  megaclient.Handle     `cbor:"2,keyasint,omitempty"`
	Owner   megaclient.UserHandle `cbor:"3,keyasint,omitempty"`
	Type    megaclient.NodeType   `cbor:"4,keyasint,omitempty"`
	Name    string                `cbor:"5,keyasint,omitempty"` // raw, as in attribute n; see Shown
	Size    int64                 `cbor:"6,keyasint,omitempty"`
	Created int64                 `cbor:"7,keyasint,omitempty"` // server's ts, Unix seconds
	Key     []byte                `cbor:"8,keyasint,omitempty"` // packed; nil while it can't be decrypted

	Attrs megacrypto.Attributes `cbor:"9,keyasint,omitempty"`
	// RawKey and RawAttrs are kept only as long as Key and Attrs are unknown.
	RawKey   string `cbor:"10,keyasint,omitempty"`
	RawAttrs string `cbor:"11,keyasint,omitempty"`

	FileAttrs string                `cbor:"12,keyasint,omitempty"`
	Link      megaclient.Handle     `cbor:"13,keyasint,omitempty"` // public handle, if exported
	Access    int                   `cbor:"14,keyasint,omitempty"` // megaclient.AccessRead ...
	Share     bool                  `cbor:"15,keyasint,omitempty"` // root of an incoming share
	SharedBy  megaclient.UserHandle `cbor:"16,keyasint,omitempty"`
	Versions  int                   `cbor:"17,keyasint,omitempty"` // older versions known
	Damaged   bool                  `cbor:"18,keyasint,omitempty"` // size absent or impossible
	Foreign   bool                  `cbor:"19,keyasint,omitempty"` // somebody else may have chosen Key
}

// Version is one older version of a file.
type Version struct {
	Handle  megaclient.Handle `cbor:"1,keyasint"`
	Key     []byte            `cbor:"2,keyasint,omitempty"`
	Size    int64             `cbor:"3,keyasint,omitempty"`
	Created int64             `cbor:"4,keyasint,omitempty"`
	Parent  megaclient.Handle `cbor:"5,keyasint,omitempty"` // the next newer one
	Epoch   uint32            `cbor:"6,keyasint,omitempty"`
}

// Clone gives a copy of which everything may be changed.
func (in Inode) Clone() Inode {
	in.Cloud = in.Cloud.Clone()
	in.Base.Key = slices.Clone(in.Base.Key)
	return in
}

// Clone gives a copy of which everything may be changed; nil of nil.
func (c *Cloud) Clone() *Cloud {
	if c == nil {
		return nil
	}
	d := *c
	d.Key = slices.Clone(c.Key)
	d.Attrs = c.Attrs.Clone()
	return &d
}

// RawName gives the name that the node has, or is to have, in the cloud: that of the shadow as long
// as the shown name is still the one made from it (a shortened or doubled name isn't its own source).
func (in *Inode) RawName() string {
	if in.Cloud != nil && (!in.Pending.Has(PendingPlace) || in.Name == Shown(in.Cloud.Name)) {
		return in.Cloud.Name
	}
	return ToCloud(in.Name)
}

// Change tells what a transaction changed, once it is committed.
type Change struct {
	Dir      Ino    // folder of which an entry changed; 0 none
	Name     string // the entry
	Ino      Ino    // the inode concerned
	Content  bool   // its bytes
	Attr     bool   // its attributes: size, times, mode
	Removed  bool   // it is no longer in the tree
	Pending  bool   // what the cloud did changed its Pending bits or its shadow's place or version
	Lost     *Lost  // content that goes by this; nil: none
	Conflict string // the name that it had to give up to what others put there; "": none
	Origin   any    // who did it (WithOrigin); nil: the cloud, or a consequence nobody asked for
}

// Options say where the tree is and whom it asks.
type Options struct {
	Dir      string   // made if missing; unused with InMemory
	Key      [32]byte // encrypts the database
	InMemory bool     // nothing on disk: for tests and throw-away mounts
	Log      logrus.FieldLogger

	// IsOpen says whether a handle here is open on the inode. A caller that opens a file registers
	// that before it reads the inode. nil: never. Called inside transactions: must not call the tree.
	IsOpen func(Ino) bool
	// PendingKey gives the inode of a creation of ours in flight by its node's key (packed), which a copy
	// made by the server shares with others, and place. nil: none. Called inside transactions.
	PendingKey func(key []byte, parent megaclient.Handle, name string) (Ino, bool)
	// OwnTag says whether a packet's tag is that of a command of ours. nil: never.
	OwnTag func(tag string) bool
	// Decrypt tries again to decrypt a node (megaclient.Client.Unlock). nil: never succeeds.
	Decrypt func(*megaclient.Node) bool

	// Room is told how many bytes the database is about to need on its disk, and makes room if there is less.
	// nil: nothing does. Called inside transactions.
	Room func(need int64)

	Host string           // for conflict names; "" means "here"
	Now  func() time.Time // for tests; nil means time.Now

	CacheInodes int // entries of the caches of inodes and of lookups; 0 means 16384
}
