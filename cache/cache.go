package cache

import (
	"context"
	"io"
	"sync"
	"time"

	"megadisk/megaclient/megacrypto"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/sirupsen/logrus"
	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"
)

const (
	defaultUnits = 512 // 64 MiB
	minUnits     = 32  // below this the parts would get in each other's way
	idleContents = 512 // contents that nobody uses whose state is kept, if so many files may be open
)

// File is one version of a file's content.
type File struct {
	Handle string             // where to fetch it; not part of its identity
	Key    megacrypto.FileKey // its identity is Key.Key and Key.Nonce; MAC is zero while an upload goes on
	Size   int64              // bytes
}

// FetchFunc brings the ciphertext of [off, off+n) of a file and writes it to w, in order, as it arrives.
// It retries what is worth retrying and returns when ctx ends. w fails when the bytes are no longer
// wanted, or too many. With [WantsFreshURL] the bytes should come another way than last time. w is also
// a [Lender].
type FetchFunc func(ctx context.Context, f File, off, n int64, w io.Writer) error

// Lender is a writer that lends the memory where what it is given next will stand. Reading into that saves
// a copy of everything.
type Lender interface {
	io.Writer
	// Lend gives memory for the next bytes, as many as fit; none when no more may come. Nothing else may be
	// called before Commit.
	Lend() []byte
	// Commit takes the first n bytes of it; an error is as one of Write.
	Commit(n int) error
}

var _, _ Lender = (*flight)(nil), (*gather)(nil)

// Options say where a cache lives and what it may use.
type Options struct {
	Dir         string   // of the disk level; "" for none. Made if it doesn't exist
	Key         [32]byte // names and authenticates what is on disk
	MemoryUnits int      // units of 128 KiB in memory, everything in flight included; 0: 512 (64 MiB); at least 32
	DiskLimit   int64    // bytes on disk; 0: 10 GiB or a tenth of the disk, whichever is less; negative: no limit
	DiskFloor   int64    // bytes left free on that disk; 0: 1 GiB or a twentieth of the disk, whichever is less; negative: none
	Fetch       FetchFunc
	Prepare     PrepareFunc        // told before files are fetched ahead; nil: nothing is to be prepared
	Strict      bool               // all files are verified whole before their first byte is served, not only small ones
	Timeout     time.Duration      // a read that waits so long for bytes, and none come, fails with ErrTimeout; 0: never
	Log         logrus.FieldLogger // nil: nothing is logged
}

// Cache is the content of cloud files, in memory over disk over the network. It is safe for concurrent
// use.
type Cache struct {
	// Dependencies.
	fetch FetchFunc
	log   logrus.FieldLogger
	store *store // nil: no disk level
	sums  *sums

	prepareFiles PrepareFunc // may be nil

	// Constant data.
	idKey, macKey [32]byte
	strict        bool
	timeout       time.Duration // 0: none
	idleMost      int
	ctx           context.Context // ends with the cache
	cancel        context.CancelFunc

	// Every goroutine of the cache; they end when ctx does.
	wg sync.WaitGroup

	mu sync.Mutex // see doc.go for the order of locks

	// Mutable state, GUARDED_BY(mu).
	contents   map[id]*content
	born       int64                        // contents that there were
	wasWrong   map[id]int64                 // content.wrong of those of which wrong bytes came in this run
	idle       *simplelru.LRU[id, *content] // those with no refs
	mem        *memory
	ahead      int // fetches under way that no program has asked for
	streaming  int // readers that look ahead
	link       link
	metered    bool                           // nothing is fetched ahead
	aheadFrom  time.Time                      // and not before this
	aheadNext  []File                         // files to be fetched ahead
	aheadBusy  int                            // goroutines that do so
	beginnings *simplelru.LRU[id, *beginning] // of large files
	macQueue   []*macJob
	macers     int  // goroutines that compute MACs
	macTimer   bool // one is about to
	spills     []*spill
	spilling   bool    // a goroutine writes them
	parts      []*part // of uploads: units that are not whole yet, oldest first
	closed     bool
	stats      Stats
}

// Open makes a cache. It fails only for options that make no sense: a folder that can't be used leaves
// the cache without its disk level, which is logged once and shown by [Cache.Stats].
func Open(o Options) (*Cache, error) {
	if o.Fetch == nil {
		return nil, errNoFetch
	}
	if o.Log == nil {
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		o.Log = quiet
	}
	units := o.MemoryUnits
	if units == 0 {
		units = defaultUnits
	}
	idle, err := simplelru.NewLRU[id, *content](idleContents+1, nil)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		fetch: o.Fetch, log: o.Log, sums: newSums(o.Key), idKey: o.Key, prepareFiles: o.Prepare, strict: o.Strict, timeout: o.Timeout,
		idleMost: idleLimit(), contents: map[id]*content{}, wasWrong: map[id]int64{}, idle: idle, mem: newMemory(max(units, minUnits)),
	}
	if c.beginnings, err = simplelru.NewLRU(beginningsKept, c.dropBeginningLocked); err != nil {
		return nil, err
	}
	blake3.DeriveKey("megadisk cache v1: meta-MAC tag", o.Key[:], c.macKey[:])
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if o.Dir != "" {
		c.store = openStore(o, c.sums)
	}
	return c, nil
}

// idleLimit is how many contents that nobody uses keep their files open: two descriptors each, a quarter of what there
// are at the most.
func idleLimit() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return idleContents
	}
	return int(min(idleContents, r.Cur/8))
}

// Close ends all fetches and waits for them. Reads under way give ErrClosed.
func (c *Cache) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	return c.store.shut()
}

// goLocked runs fn in a goroutine that Close waits for, unless the cache is closed.
func (c *Cache) goLocked(fn func()) bool {
	if c.closed {
		return false
	}
	c.wg.Go(fn)
	return true
}

// freshURL marks the context of a fetch that is made because the bytes of another were wrong.
type freshURL struct{}

// withFreshURL marks a fetch of what turned out at that moment to be wrong.
func withFreshURL(ctx context.Context, wrong time.Time) context.Context {
	return context.WithValue(ctx, freshURL{}, wrong)
}

// WantsFreshURL tells a [FetchFunc] that what came last time failed its MAC: it should not use a
// download URL that was drawn before wrong, so that another server may answer.
func WantsFreshURL(ctx context.Context) (wrong time.Time, wants bool) {
	wrong, wants = ctx.Value(freshURL{}).(time.Time)
	return wrong, wants
}
