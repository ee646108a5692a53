package fs

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sirupsen/logrus"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// Options say what is mounted and how it looks.
type Options struct {
	Engine *writeback.Engine
	Root   tree.Ino     // the mounted folder; 0 means the whole drive
	Cache  *cache.Cache // tells user.mega.verified; nil: that attribute is absent

	ReadOnly   bool
	AllowOther bool     // let other users in; what they may do, the modes say
	UID, GID   uint32   // who owns everything
	Umask      uint32   // taken from the modes of what has none of its own
	FMask      uint32   // the same, of files only
	DMask      uint32   // the same, of folders only
	Flags      []string // of the mount, for the kernel to carry out: "noexec", "sync", "dirsync"

	// Hidden is the name of the hidden folder; "" means HiddenName. A real folder of that name wins.
	Hidden string
	// Status gives the content of its status.json; nil: an empty object.
	Status func(ctx context.Context) ([]byte, error)

	// Lookers are patterns (path.Match) of the names of programs that show pictures of what is in a folder; Looked is told
	// which folder one of them opens, and must not wait. nil: nobody is.
	Lookers []string
	Looked  func(dir tree.Ino)
	// Probes are patterns of the names of programs that go through everything by themselves: they get what is here.
	Probes []string

	// Link makes a public link to an inode, or takes it back; nil: user.mega.link can't be written.
	Link func(ctx context.Context, ino tree.Ino, remove bool) error
	// ShareKey gives the key by which the public link of a folder opens; nil: none is known.
	ShareKey func(folder megaclient.Handle) (megacrypto.Key, bool)
	// Pinned tells whether something is to be kept here; nil: nothing is.
	Pinned func(in tree.Inode) bool

	FsName   string // what df and mount show as the device; "" means "megadisk"
	Timeouts Timeouts
	// Observe is told of each request of the kernel: its kind, how long it took, and its errno by name ("": none). nil: nobody is.
	Observe func(kind string, took time.Duration, errno string)
	Log     logrus.FieldLogger
	Debug   bool // log each request and answer, names and content left out
}

// Timeouts say how long the kernel may keep what it was told; zero means a day. They can be that long because every
// change is made known to the kernel.
type Timeouts struct {
	Entry    time.Duration // that a name stands for an inode
	Negative time.Duration // that a name is absent
	Attr     time.Duration // an inode's attributes
}

const (
	defaultTimeout = 24 * time.Hour
	versionsKept   = 16384 // files of which it is known which version was opened last
)

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []*time.Duration{&t.Entry, &t.Negative, &t.Attr} {
		if *d == 0 {
			*d = defaultTimeout
		}
	}
	return t
}

// bridge answers the kernel's requests. The files of this package are its methods, one file a group of requests.
//
// Lock order: none. The locks here (of the handle tables, of a folder's handle, of the notifier, of a request's
// context) are leaves: nothing is called while one is held, neither the rooms below nor the kernel.
type bridge struct {
	fuse.RawFileSystem // ENOSYS for what isn't here: the kernel then does it itself, or never asks again

	// Dependencies.
	engine engine
	table  table
	cache  *cache.Cache
	log    logrus.FieldLogger
	notify *notifier

	// Constant data.
	root     tree.Ino
	uid, gid uint32
	readOnly bool
	makeLink func(ctx context.Context, ino tree.Ino, remove bool) error // nil: it can't be
	shareKey func(megaclient.Handle) (megacrypto.Key, bool)
	pinned   func(tree.Inode) bool
	fmask    uint32 // taken from the modes of files that nobody set
	dmask    uint32 // and of folders
	timeouts Timeouts
	hidden   string  // the hidden folder's name
	trash    trasher // nil: there is none
	state    func(context.Context) ([]byte, error)
	lookers  []string
	looked   func(tree.Ino)
	probes   []string
	born     int64           // when it was mounted, ns since 1970
	life     context.Context // ends with the mount
	end      context.CancelFunc

	// Mutable state.
	ready atomic.Bool // the tree has been fetched once
	// versions is what each of the files opened last was then; safe for concurrent use.
	versions *lru.Cache[tree.Ino, opened]
	files    handles[*fileHandle]
	walks    walks
	dirs     handles[*dirHandle]
	listers  *listers
}

func newBridge(e engine, t table, o Options) *bridge {
	b := &bridge{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		engine:        e,
		table:         t,
		cache:         o.Cache,
		log:           o.Log,
		root:          o.Root,
		uid:           o.UID,
		gid:           o.GID,
		readOnly:      o.ReadOnly,
		makeLink:      o.Link,
		shareKey:      o.ShareKey,
		pinned:        o.Pinned,
		fmask:         o.Umask | o.FMask,
		dmask:         o.Umask | o.DMask,
		timeouts:      o.Timeouts.withDefaults(),
		hidden:        o.Hidden,
		state:         o.Status,
		lookers:       o.Lookers,
		looked:        o.Looked,
		probes:        o.Probes,
		listers:       newListers(),
		born:          time.Now().UnixNano(),
	}
	if b.log == nil {
		b.log = quietLog()
	}
	if b.hidden == "" {
		b.hidden = HiddenName
	}
	if b.root == 0 {
		b.root = tree.DriveIno
	}
	b.versions, _ = lru.New[tree.Ino, opened](versionsKept) // fails only for sizes below 1
	b.life, b.end = lifetime(b)
	b.notify = newNotifier(t, b.nodeID, b.ready.Load, b.letGo)
	if t, ok := e.(trasher); ok && !o.ReadOnly {
		b.trash = t
	}
	if p, ok := e.(interface{ Prefetch([]tree.Ino) }); ok {
		b.walks.prefetch, b.walks.get, b.walks.list = p.Prefetch, t.Get, t.ReadDir
	}
	return b
}

// String names the filesystem in go-fuse's messages.
func (b *bridge) String() string { return "megadisk" }

// timeoutsNow gives the kernel's timeouts: none while the first tree is still coming, since what comes is then not
// made known entry by entry. An answer asks for them before it reads the tree: else the row could be from when nothing
// was made known, and the timeouts from later.
func (b *bridge) timeoutsNow() Timeouts {
	if !b.ready.Load() {
		return Timeouts{}
	}
	return b.timeouts
}

// letGo tells the engine that this mount's kernel doesn't know an inode (any more). Live inodes don't care; the row of
// a removed one goes when nobody knows it.
func (b *bridge) letGo(ino tree.Ino) { b.engine.Forget(b, ino) }

// panicked answers a request whose handler panicked. The mount goes on.
func (b *bridge) panicked(cause any) fuse.Status {
	b.log.WithField("stack", string(stack())).Errorf("a request's handler panicked: %T", cause)
	return fuse.EIO
}
