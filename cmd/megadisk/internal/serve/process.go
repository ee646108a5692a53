// Package serve is the process that holds an account's mounts: the only place where the concrete parts meet
// (protocol client, cache, journal, filesystem), and what the control socket asks it to do.
package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"megadisk/cache"
	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/thumbs"
	"megadisk/fs"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// ErrUnreachable means that the tree was never fetched and the server can't be reached, so there is nothing to show.
var ErrUnreachable = errors.New("the server can't be reached, and this account was never mounted here before: check the network and --api-url")

// firstContact bounds how long the very first mount waits for a sign of the server.
const firstContact = 20 * time.Second

// Options say whose drive it is and where its stores are.
type Options struct {
	Client *megaclient.Client
	Dirs   paths.Dirs
	Host   string
	Log    logrus.FieldLogger

	// Observe is told of each request of the kernel (see fs.Options); nil: nobody is.
	Observe func(kind string, took time.Duration, errno string)

	// Session gives the stored session, as the last login left it.
	Session func(context.Context) (megaclient.Session, error)

	// OpenLink makes a client for a public link.
	OpenLink func(megacrypto.Link) (*megaclient.Client, error)

	Timeout     time.Duration // of reads without any progress; 0: none
	Metered     bool          // fetch nothing that no program has asked for
	Strict      bool          // verify all files whole before their first byte is served
	CacheSize   int64         // bytes of content on disk; 0: the cache's own limit
	StagingSize int64         // bytes that may wait to be uploaded; 0: no limit but MinFree
	MinFree     int64         // bytes that new writes leave free on the disk of the state; 0: the engine's own

	PermanentDelete bool     // what is removed is deleted for good
	FsyncCloud      bool     // fsync waits for the cloud
	Thumbnails      string   // folder of the desktop's thumbnails; "": none are put there
	Lookers         []string // names of programs for which that is done, when they open a folder
	Probes          []string // names of programs for which nothing is fetched

	PurgeTrash bool     // what is removed from a desktop's trash is deleted for good
	LocalNames []string // patterns of names of files that stay here; nil: the usual ones
	NoBrake    bool     // very many deletions at once aren't held back
}

// Process holds the mounts of one account, or of one public link.
//
// Lock order: mu is a leaf; it is never held while mounting, unmounting or talking to the engine.
type Process struct {
	// Dependencies.
	o      Options
	engine *writeback.Engine
	cache  *cache.Cache
	pins   *pins
	quota  *transferQuota
	thumbs *thumbs.Keeper

	// Constant data.
	cancel context.CancelFunc
	ran    chan struct{}  // closed when the engine's Run has returned
	work   sync.WaitGroup // of pins, quota, thumbnails, and unmounting

	// Mutable state.
	mu      sync.Mutex
	mounts  map[string]*mounted // by mount point; GUARDED_BY(mu)
	live    int                 // mounts that have not ended, also those out of sight in whose place others stand; GUARDED_BY(mu)
	ended   bool                // no further mounts; GUARDED_BY(mu)
	idle    chan struct{}       // closed when the last mount is gone; GUARDED_BY(mu) for closing
	notices []string            // see Notice; GUARDED_BY(mu)
}

// Open opens the account's stores and starts following the cloud. It returns when there is a tree to show: at
// once, except for the very first time. Then a large one may still be coming in.
func Open(ctx context.Context, o Options) (*Process, error) {
	state, cacheDir, err := o.Dirs.Account(o.Host, string(o.Client.Session().User))
	if err != nil {
		return nil, err
	}
	if err := enoughRoom(state); err != nil {
		return nil, err
	}
	key, err := stateKey(ctx, o, state)
	if err != nil {
		return nil, err
	}
	p := &Process{o: o, mounts: map[string]*mounted{}, idle: make(chan struct{}), ran: make(chan struct{}), quota: newTransferQuota(o.Client, o.Timeout)}
	if p.pins, err = p.readPins(state); err != nil {
		return nil, err
	}
	if err := p.openStores(ctx, state, cacheDir, key); err != nil {
		return nil, err
	}
	p.pins.follow() // before anything changes
	run, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		defer close(p.ran)
		if err := p.engine.Run(run); err != nil && run.Err() == nil {
			o.Log.WithError(err).Error("following the cloud ended")
		}
	}()
	p.work.Go(func() { p.pins.run(run) })
	p.work.Go(func() { p.quota.run(run) })
	p.work.Go(func() { p.thumbs.Run(run) })
	if err := p.ready(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Process) openStores(ctx context.Context, state, cacheDir string, key [32]byte) (err error) {
	p.cache, err = cache.Open(cache.Options{
		Dir: cacheDir, Key: writeback.CacheKey(key), Log: p.o.Log, Timeout: p.o.Timeout, Strict: p.o.Strict,
		DiskLimit: p.o.CacheSize, Fetch: p.fetch, Prepare: preparer(p.o.Client),
	})
	if err != nil {
		return fmt.Errorf("opening the cache: %w", err)
	}
	p.cache.SetMetered(p.o.Metered)
	p.quota.pause = p.cache.PauseAhead
	p.engine, err = writeback.Open(ctx, writeback.Options{
		Dir: state, StateKey: key, Client: p.o.Client, Cache: p.cache, Log: p.o.Log, Host: hostname(),
		MinFree: p.o.MinFree, StagingSize: p.o.StagingSize, Timeout: p.o.Timeout,
		PermanentDelete: p.o.PermanentDelete, FsyncCloud: p.o.FsyncCloud, NoBrake: p.o.NoBrake, LocalNames: p.o.LocalNames, PurgeTrash: p.o.PurgeTrash,
		Uploaded: func(ino tree.Ino) { p.thumbs.Uploaded(ino) },
	})
	if err != nil {
		return errors.Join(fmt.Errorf("opening the state: %w", err), p.cache.Close())
	}
	p.thumbs = thumbs.New(thumbs.Options{
		Engine: p.engine, Client: p.o.Client, Dir: p.o.Thumbnails, Mounts: p.ownMounts, Log: p.o.Log,
	})
	return nil
}

// ownMounts lists the mounts that this user sees: thumbnails lie in his own folder.
func (p *Process) ownMounts() (list []thumbs.Mount) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.mounts {
		if m.uid == uint32(os.Geteuid()) {
			list = append(list, thumbs.Mount{Root: m.root, Point: m.point})
		}
	}
	return list
}

// SetMetered says whether bytes cost money: then nothing is fetched that no program has asked for.
func (p *Process) SetMetered(on bool) { p.cache.SetMetered(on) }

// preparer asks for the download URLs of files that are about to be fetched, all in one request. Without them
// each is asked for when its file is fetched, so an error needs no more than to be known.
func preparer(c *megaclient.Client) cache.PrepareFunc {
	return func(ctx context.Context, files []cache.File) {
		handles := make([]megaclient.Handle, len(files))
		for i, f := range files {
			handles[i] = megaclient.Handle(f.Handle)
		}
		_ = c.PrepareURLs(ctx, handles)
	}
}

// A first mount waits for the tree to be whole, but not for one that takes longer than wholeTree and has brought largeTree
// by then. That is shown as it comes, and who asks for a name that has not come yet waits for it.
const (
	wholeTree = 500 * time.Millisecond
	nextLook  = 20 * time.Millisecond // at what has come after that
	largeTree = 10_000
)

// ready waits for the first tree, or for the beginning of a large one, but not for a server that gives no sign of life.
func (p *Process) ready(ctx context.Context) error {
	if p.engine.Tree().Fetched() {
		return nil
	}
	if err := contact(ctx, p.o.Client); err != nil {
		return err
	}
	for patience := wholeTree; ; patience = nextLook {
		wait, cancel := context.WithTimeout(ctx, patience)
		err := p.engine.Ready(wait)
		waited := wait.Err() != nil
		cancel()
		switch {
		case err == nil || !waited || ctx.Err() != nil:
			return err
		case p.engine.Tree().Made() >= largeTree:
			return nil
		}
	}
}

// contact waits for a sign of the server; of a public link, that it leads somewhere and its key opens that.
func contact(ctx context.Context, c *megaclient.Client) error {
	sign, cancel := context.WithTimeout(ctx, firstContact)
	defer cancel()
	var err error
	if _, is := c.Link(); is {
		err = c.CheckLink(sign)
	} else {
		_, err = c.Quota(sign)
	}
	var api *megaclient.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &api), errors.Is(err, megaclient.ErrLinkWrongKey), errors.Is(err, megaclient.ErrLinkGone), ctx.Err() != nil:
		return fmt.Errorf("fetching the tree: %w", err)
	}
	return ErrUnreachable
}

// Wait returns when the last mount is gone or ctx ends.
func (p *Process) Wait(ctx context.Context) {
	select {
	case <-p.idle:
	case <-ctx.Done():
	}
}

// Close unmounts what is left, without waiting for uploads, and closes the stores. What is pending stays for
// the next mount.
func (p *Process) Close() error {
	p.mu.Lock()
	p.ended = true
	left := make([]*mounted, 0, len(p.mounts))
	for _, m := range p.mounts {
		left = append(left, m)
	}
	p.mu.Unlock()
	var errs []error
	for _, m := range left {
		errs = append(errs, m.detach())
	}
	p.cancel()
	p.work.Wait()
	<-p.ran
	errs = append(errs, p.engine.Close(), p.cache.Close())
	return errors.Join(errs...)
}

// PendingOnDisk counts what is not yet in the cloud, and tells what stays here only, from the stores alone, with no
// process running.
func PendingOnDisk(ctx context.Context, o Options) (n int, here control.HereOnly, err error) {
	state, _, err := o.Dirs.Account(o.Host, string(o.Client.Session().User))
	if err != nil {
		return 0, here, err
	}
	if !writeback.HasState(state) {
		return 0, here, nil // never mounted
	}
	if err := enoughRoom(state); err != nil {
		return 0, here, err
	}
	key, err := writeback.OpenStateKey(state, o.Client.Session().MasterKey)
	if err != nil {
		return 0, here, err
	}
	p := &Process{o: o, quota: newTransferQuota(o.Client, o.Timeout)}
	if err := p.openStores(ctx, state, "", key); err != nil {
		return 0, here, err
	}
	st := p.engine.Status()
	return st.PendingCount, hereOnly(st), errors.Join(p.engine.Close(), p.cache.Close())
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "host"
	}
	return name
}

// NoDumps keeps keys out of core files and out of reach of other processes of this user.
func NoDumps() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// mounted is one folder that is shown.
type mounted struct {
	source string
	point  string
	ro     bool
	root   tree.Ino
	uid    uint32 // who owns what is shown
	server *fs.Server
	gone   chan struct{} // closed when it is no longer listed
}

// detach unmounts even if programs have files open: these get ENOTCONN, and what they wrote is kept.
func (m *mounted) detach() error {
	if m.server.Unmount() == nil {
		return nil
	}
	return detachPoint(m.point)
}
