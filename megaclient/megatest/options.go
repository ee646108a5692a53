package megatest

import (
	"net"
	"time"
)

// Superseded says what p does when the file named by ov is no longer the newest version: MEGA's own
// servers promise nothing here, so a client has to live with each of these.
type Superseded int

const (
	// SupersededInsert puts the new node on top of the chain that the named file belongs to now.
	SupersededInsert Superseded = iota
	// SupersededRefuse answers -9.
	SupersededRefuse
	// SupersededBeside makes a second node of the same name.
	SupersededBeside
)

// Option changes how a Server works. The defaults suit tests.
type Option func(*options)

type options struct {
	listener     net.Listener
	dir          string
	superseded   Superseded
	orphansToBin bool
	tokenOnce    bool
	logLimit     int
	sliceLimit   int
	idLifetime   time.Duration
	urlLifetime  time.Duration
	waitTime     time.Duration
	quota        int64
	versionsInF  bool
	forgetful    bool
	now          func() time.Time
}

func defaultOptions() options {
	return options{
		logLimit:    20_000,
		sliceLimit:  1_000,
		idLifetime:  10 * time.Minute,
		urlLifetime: 48 * time.Hour,
		waitTime:    25 * time.Second,
		quota:       50 << 30,
		now:         time.Now,
	}
}

// WithListener makes the server serve l, which it closes at the end, instead of a free port on 127.0.0.1.
func WithListener(l net.Listener) Option { return func(o *options) { o.listener = l } }

// WithDir keeps file content in files below dir, not in memory. Tree and accounts stay in memory, so
// Close removes the files again.
func WithDir(dir string) Option { return func(o *options) { o.dir = dir } }

// WithoutContent keeps nothing of what is uploaded but a checksum of each chunk (see Account.CheckForgotten). It can't be
// downloaded.
func WithoutContent() Option { return func(o *options) { o.forgetful = true } }

// WithSuperseded chooses what happens to an ov that names a file which is no longer the newest version.
func WithSuperseded(s Superseded) Option { return func(o *options) { o.superseded = s } }

// WithOrphansToBin lets p into a folder that was deleted place the nodes in the Rubbish Bin, as MEGA
// sometimes does, in place of answering -9.
func WithOrphansToBin() Option { return func(o *options) { o.orphansToBin = true } }

// WithSingleUseTokens makes an upload token good for one p only. By default it works again and again,
// which is the harder case: a p that is repeated by mistake then makes a second node.
func WithSingleUseTokens() Option { return func(o *options) { o.tokenOnce = true } }

// WithPacketLog sets how many action packets an account's log keeps at least (default 20,000). An sn
// older than the log is answered with -6.
func WithPacketLog(n int) Option { return func(o *options) { o.logLimit = max(n, 1) } }

// WithPacketSlice sets how many packets one sc answer holds at most (default 1,000); an answer with more
// to come says ir:1.
func WithPacketSlice(n int) Option { return func(o *options) { o.sliceLimit = max(n, 1) } }

// WithRequestIDLifetime sets how long the answer to a request id is kept for replays (default 10 minutes).
func WithRequestIDLifetime(d time.Duration) Option { return func(o *options) { o.idLifetime = d } }

// WithURLLifetime sets how long upload and download URLs work (default 48 hours).
func WithURLLifetime(d time.Duration) Option { return func(o *options) { o.urlLifetime = d } }

// WithWaitTime sets how long a wait URL blocks when nothing happens (default 25 s).
func WithWaitTime(d time.Duration) Option { return func(o *options) { o.waitTime = d } }

// WithVersionsInF lists older versions of files among the other nodes (f), not apart (f2). megajs can't
// stand that, but a client should.
func WithVersionsInF() Option { return func(o *options) { o.versionsInF = true } }

// WithClock replaces the clock that time stamps and lifetimes come from.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }
