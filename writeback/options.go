package writeback

import (
	"time"

	"github.com/sirupsen/logrus"

	"megadisk/cache"
	"megadisk/writeback/tree"
)

// Options says what an Engine works with. Dir, StateKey, Client and Cache are
// needed; everything else has a default.
type Options struct {
	Dir      string // state folder: tree, journal and staged bytes; one process at a time
	StateKey [32]byte
	Client   Cloud
	Cache    *cache.Cache
	Log      logrus.FieldLogger
	Host     string           // names this machine in conflict names; "" means "megadisk"
	Now      func() time.Time // for tests; nil means time.Now
	// PermanentDelete removes for good; otherwise what is removed goes to the Rubbish Bin.
	PermanentDelete bool
	// Uploaded is told of each file of which a new version from here is in the cloud, and must not wait; nil: nobody is.
	Uploaded   func(tree.Ino)
	PurgeTrash bool // what is removed from the trash is removed for good, not only from view
	// LocalNames are patterns (path.Match) of names of files that stay on this machine; nil means DefaultLocalNames.
	LocalNames  []string
	NoBrake     bool          // very many deletions at once aren't held back
	FsyncCloud  bool          // fsync waits until the cloud has what it is about
	Workers     int           // uploads at once; 0 means 8
	MinFree     int64         // bytes that must stay free on the disk of Dir; 0 means 256 MiB, below 0 none
	StagingSize int64         // bytes that may wait to be uploaded; 0: as many as the disk has above MinFree
	Timeout     time.Duration // a write waits so long for others to be uploaded when there is no room; 0 means 1 min
	Reserve     int64         // bytes kept for what must go on when that disk is full; 0 means 96 MiB, below 0 none
	BatchMax    int           // commands in a request; 0 means 200
	SegmentSize int64         // bytes of a file of the staging; 0 means 64 MiB
	Timings     Timings
}

// Timings are the times that the design fixes; zero values mean those.
type Timings struct {
	Settle        time.Duration // rest after the last change: 1 s
	SettleMax     time.Duration // at most, from the first change: 10 s
	DeleteSettle  time.Duration // rest after the last removal below the same folder: 1 s
	DeleteMax     time.Duration // at most: 60 s
	OpenSettle    time.Duration // a file kept open is frozen after so long without a write: 60 s
	OpenGap       time.Duration // and not again before so long: 10 min
	Commit        time.Duration // extent maps of open files are committed so often: 4 s
	Compact       time.Duration // wasted space in the staging is looked for so often: 5 s
	RetryFirst    time.Duration // first wait after a refusal: 2 s
	RetryMax      time.Duration // longest such wait: 10 min
	RetryWall     time.Duration // wait after a refusal that only somebody's act takes away: 1 h
	EchoGrace     time.Duration // an echo may be late so long after the acknowledgement: 10 s
	LateGrace     time.Duration // a batch may be executed so long after the server said that it isn't busy with one: 3 s
	QuotaInterval time.Duration // least time between two questions for the quota: 30 s
}

func (t Timings) withDefaults() Timings {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&t.Settle, time.Second)
	def(&t.SettleMax, 10*time.Second)
	def(&t.DeleteSettle, time.Second)
	def(&t.DeleteMax, time.Minute)
	def(&t.OpenSettle, time.Minute)
	def(&t.OpenGap, 10*time.Minute)
	def(&t.Commit, 4*time.Second)
	def(&t.Compact, 5*time.Second)
	def(&t.RetryFirst, 2*time.Second)
	def(&t.RetryMax, 10*time.Minute)
	def(&t.RetryWall, time.Hour)
	def(&t.EchoGrace, 10*time.Second)
	def(&t.LateGrace, 3*time.Second)
	def(&t.QuotaInterval, 30*time.Second)
	return t
}

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = 8
	}
	if o.BatchMax <= 0 {
		o.BatchMax = 200
	}
	if o.MinFree == 0 {
		o.MinFree = 256 << 20
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Reserve == 0 {
		o.Reserve = defaultReserve
	}
	if o.LocalNames == nil {
		o.LocalNames = DefaultLocalNames
	}
	if o.Host == "" {
		o.Host = "megadisk"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		l := logrus.New()
		l.SetLevel(logrus.PanicLevel)
		o.Log = l
	}
	o.Timings = o.Timings.withDefaults()
	return o
}
