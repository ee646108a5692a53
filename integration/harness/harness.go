// Package harness puts a whole megadisk together in one call: a MEGA server with an account, a client, a cache, an
// engine and a real mount, all in the test's own process and all taken down by its end.
//
//	h := harness.New(t)
//	h.Account.PutFile(h.Account.Root(), "a", []byte("hello"), time.Now())  // another client of the account
//	h.Await("a")                                                           // the mount has heard of it
//	os.ReadFile(h.Path("a"))
//	os.WriteFile(h.Path("b"), ...)
//	h.Drain()                                                              // it is in the cloud
//	h.Account.Tree()["/b"]
//
// # Traps
//
// The process under test is the test's own. That is fine for everything that is a system call (GOMAXPROCS must be above
// 1 for some), but a page fault in a memory map of a mounted file stops a thread that the server may need: put maps
// into another program. Programs started with a working directory in the mount, or that inherit descriptors of files in
// it, can deadlock in fork; use Run, which enters the folder in the child.
package harness

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"megadisk/cache"
	"megadisk/fs"
	"megadisk/integration/needs"
	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback"
)

const (
	email    = "user@example.com"
	password = "correct horse battery staple"

	// Deadline bounds what a test waits for, generously: the machine may be busy.
	Deadline = 2 * time.Minute
)

// Harness is one account with its mount.
type Harness struct {
	T       testing.TB
	Server  *megatest.Server
	Account *megatest.Account
	Client  *megaclient.Client
	Cache   *cache.Cache
	Engine  *writeback.Engine
	Mount   *fs.Server // nil with NoMount
	Dir     string     // where it is mounted
	State   string     // the state folder

	o       options
	stopRun func()
}

// Option changes what New makes.
type Option func(*options)

type options struct {
	server    []megatest.Option
	account   []megatest.AccountOption
	populate  func(*megatest.Account)
	mount     func(*fs.Options)
	engine    func(*writeback.Options)
	cache     func(*cache.Options)
	noMount   bool
	notReady  bool
	other     *Harness
	stateDir  string
	logToTest bool
}

// WithServer passes options to the MEGA server.
func WithServer(opts ...megatest.Option) Option {
	return func(o *options) { o.server = append(o.server, opts...) }
}

// WithAccount passes options to the account.
func WithAccount(opts ...megatest.AccountOption) Option {
	return func(o *options) { o.account = append(o.account, opts...) }
}

// WithContent fills the account before megadisk sees it.
func WithContent(fill func(*megatest.Account)) Option {
	return func(o *options) { o.populate = fill }
}

// WithMount changes the options of the mount.
func WithMount(change func(*fs.Options)) Option { return func(o *options) { o.mount = change } }

// WithEngine changes the options of the engine.
func WithEngine(change func(*writeback.Options)) Option {
	return func(o *options) { o.engine = change }
}

// WithCache changes the options of the cache, which by default is in memory.
func WithCache(change func(*cache.Options)) Option { return func(o *options) { o.cache = change } }

// WithState uses a state folder, so that a later harness can go on with it.
func WithState(dir string) Option { return func(o *options) { o.stateDir = dir } }

// SameAccount makes a second megadisk, with a state and a session of its own, for the account of another harness.
func SameAccount(h *Harness) Option { return func(o *options) { o.other = h } }

// NoMount makes everything but the mount.
func NoMount() Option { return func(o *options) { o.noMount = true } }

// NotReady mounts without waiting for the first tree.
func NotReady() Option { return func(o *options) { o.notReady = true } }

// WithLog writes the log to the test's.
func WithLog() Option { return func(o *options) { o.logToTest = true } }

// New makes a harness. Without a mount point to be had, the test is skipped (see package needs).
func New(t testing.TB, opts ...Option) *Harness {
	t.Helper()
	h := &Harness{T: t}
	for _, opt := range opts {
		opt(&h.o)
	}
	if !h.o.noMount {
		needs.FUSE(t)
	}
	h.serve()
	h.login()
	h.start()
	if !h.o.notReady {
		require.NoError(t, h.Engine.Ready(h.Context()))
	}
	if !h.o.noMount {
		h.mount()
	}
	return h
}

// Context is one that ends before the test hangs.
func (h *Harness) Context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	h.T.Cleanup(cancel)
	return ctx
}

// Path is a path in the mount.
func (h *Harness) Path(elem ...string) string {
	return filepath.Join(append([]string{h.Dir}, elem...)...)
}

func (h *Harness) log() logrus.FieldLogger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	if h.o.logToTest {
		l.SetOutput(h.T.Output())
		l.SetLevel(logrus.DebugLevel)
	}
	return l
}

func (h *Harness) serve() {
	if other := h.o.other; other != nil {
		h.Server, h.Account = other.Server, other.Account
		return
	}
	h.Server = megatest.NewServer(h.o.server...)
	h.T.Cleanup(h.Server.Close)
	h.Account = h.Server.AddAccount(email, password, h.o.account...)
	if h.o.populate != nil {
		h.o.populate(h.Account)
	}
}

func (h *Harness) login() {
	c, err := megaclient.Login(h.Context(), megaclient.Config{APIURL: h.Server.URL(), Log: h.log()}, email, password, "")
	require.NoError(h.T, err)
	h.Client = c
	h.T.Cleanup(c.Close)
}

// start opens cache and engine, and lets the engine run.
func (h *Harness) start() {
	t := h.T
	h.State = h.o.stateDir
	if h.State == "" {
		h.State = t.TempDir()
	}
	key, err := writeback.OpenStateKey(h.State, h.Client.Session().MasterKey)
	require.NoError(t, err)
	co := cache.Options{Key: writeback.CacheKey(key), Log: h.log(), Fetch: h.fetch}
	if h.o.cache != nil {
		h.o.cache(&co)
	}
	h.Cache, err = cache.Open(co)
	require.NoError(t, err)
	eo := writeback.Options{
		Dir: h.State, StateKey: key, Client: h.Client, Cache: h.Cache, Log: h.log(), Host: "testhost", MinFree: -1,
		// What settles, settles as in the program; Drain doesn't wait for it.
		Timings: writeback.Timings{RetryFirst: 10 * time.Millisecond},
	}
	if h.o.engine != nil {
		h.o.engine(&eo)
	}
	h.Engine, err = writeback.Open(h.Context(), eo)
	require.NoError(t, err)
	h.run()
}

func (h *Harness) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := h.Engine.Run(ctx); err != nil && ctx.Err() == nil {
			h.T.Errorf("the engine ended: %v", err)
		}
	}()
	stopped := false
	h.stopRun = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-done
		require.NoError(h.T, h.Engine.Close())
		require.NoError(h.T, h.Cache.Close())
	}
	h.T.Cleanup(h.stopRun)
}

// fetch is where cache and client meet, as in the program.
func (h *Harness) fetch(ctx context.Context, f cache.File, off, n int64, w io.Writer) error {
	return h.Client.ReadContent(ctx, megaclient.Handle(f.Handle), off, n, w)
}

func (h *Harness) mount() {
	t := h.T
	h.Dir = t.TempDir()
	o := fs.Options{
		Engine: h.Engine, Cache: h.Cache, Log: h.log(),
		UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Umask: 0o022,
	}
	if h.o.mount != nil {
		h.o.mount(&o)
	}
	var err error
	h.Mount, err = fs.Mount(h.Dir, o)
	require.NoError(t, err)
	require.NoError(t, h.Mount.UseHere())
	t.Cleanup(func() { require.NoError(t, h.Mount.Unmount()) })
}
