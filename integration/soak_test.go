package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/program"
	"megadisk/integration/steady"
	"megadisk/megaclient/megatest"
)

// TestSoak lets programs work in a mount for long, on a network and a server that fail at random, with kills and
// remounts, while a second mount of the account (another machine, never restarted) sees all of it. After each round all
// that programs were told is there; after each era both mounts and the cloud are the same, then everything is removed,
// so that what the processes and folders take can be compared from one era to the next. `make soak HOURS=n` makes it n
// hours; SIGTERM ends it with the era of that moment. Otherwise it is one short era, and nothing is said of growth.
func TestSoak(t *testing.T) {
	long, err := time.ParseDuration(os.Getenv("MEGADISK_SOAK"))
	round, rounds := 20*time.Second, 4
	if err != nil {
		long, round, rounds = 0, time.Second, 1
	}
	s := newSoak(t, round)
	enough := make(chan os.Signal, 1)
	signal.Notify(enough, syscall.SIGTERM)
	defer signal.Stop(enough)
	for begun := time.Now(); ; {
		s.era(rounds)
		s.sample(time.Since(begun))
		if time.Since(begun) >= long || len(enough) > 0 {
			break
		}
	}
	if len(s.samples) >= 4 {
		s.report()
	}
	if s.samples[len(s.samples)-1].at >= 20*time.Minute {
		s.requireNoGrowth()
	}
}

// soak is one account with two mounts.
type soak struct {
	k       *killer // programs in the mount that is killed
	witness *program.Program
	socket  string // of the witness's metrics
	round   time.Duration
	samples []soakSample
	rounds  int
	kills   int
	remount int
	faults  map[string]int
}

// soakSample is what is taken when an era is over and the drive is empty. Of memory, goroutines and descriptors it is
// the witness's, since the other process is killed; of the disk it is what state and cache of the killed one take. The
// state's debris is apart: that and the cache grow to limits of their own.
type soakSample struct {
	at time.Duration
	footprint
	state, debris, cache int64
	pending              int64 // most changes that waited at the end of a round
}

// mostCacheFiles is what the cache may have open for contents that nobody uses: two descriptors for each of 512.
const mostCacheFiles = 2 * 512

func newSoak(t *testing.T, round time.Duration) *soak {
	p, account := mountedProgram(t)
	witness := program.New(t, p.Server)
	witness.Login()
	s := &soak{witness: witness, socket: filepath.Join(witness.Dir, "metrics"), round: round, faults: map[string]int{}}
	witness.Run("mount", witness.Point, "-o", "metrics=unix:"+s.socket)
	s.k = &killer{t: t, p: p, account: account, rng: rand.New(rand.NewPCG(steady.Seed(), 0)), met: map[string]int{}}
	return s
}

// era is some rounds of work from an empty drive to an empty drive.
func (s *soak) era(rounds int) {
	k := s.k
	k.t.Helper()
	s.samples = append(s.samples, soakSample{})
	k.works = []killedWork{newFiles(k), newAppender(k), newDatabase(k, "delete"), newDatabase(k, "wal"), newArchive(k), newRepository(k)}
	for range rounds {
		s.work()
	}
	for _, w := range k.works {
		w.check()
	}
	k.p.Run("flush")
	s.witness.Run("flush")
	s.same()
	k.p.Shell("rm -rf ./*") // here: what is removed elsewhere leaves copies in the state
	k.p.Run("flush")
	s.same()
	k.p.Run("bin", "empty")
	require.NoError(k.t, os.RemoveAll(filepath.Join(k.p.Dir, "archive")))
}

// work is one round: programs work while faults come and go, the process may be killed, and all must be there.
func (s *soak) work() {
	k := s.k
	k.t.Helper()
	k.pid = k.p.Statuses()[0].PID
	kill := s.rounds%3 == 0
	s.rounds++
	end := time.Now().Add(s.round)
	k.timer = time.AfterFunc(s.round, func() {
		if kill {
			_ = syscall.Kill(k.pid, syscall.SIGKILL)
		}
	})
	var programs sync.WaitGroup
	for _, w := range k.some(3) {
		rng := rand.New(rand.NewPCG(k.rng.Uint64(), 1))
		programs.Go(func() {
			for (kill || time.Now().Before(end)) && w.step(rng) {
			}
		})
	}
	programs.Go(func() { s.watch(end) })
	programs.Go(func() { s.trouble(rand.New(rand.NewPCG(k.rng.Uint64(), 2)), end) })
	programs.Wait()
	k.timer.Stop()
	require.False(k.t, k.t.Failed())
	switch {
	case kill:
		s.kills++
		program.AwaitGone(k.t, k.pid)
		k.p.Run("unmount", k.p.Point)
		k.p.Run("mount", k.p.Point)
	case s.rounds%3 == 0:
		s.remount++
		k.p.Run("unmount", "--no-wait", k.p.Point)
		k.p.Run("mount", k.p.Point)
	}
	last := &s.samples[len(s.samples)-1]
	last.pending = max(last.pending, int64(k.p.Statuses()[0].Pending.Changes))
	for _, w := range k.works {
		w.check()
	}
}

// soakFaults are what goes wrong for a while, each got over without a program's notice.
var soakFaults = map[string]func(f *megatest.Faults, n int){
	"latency":                func(f *megatest.Faults, n int) { f.SetLatency(time.Duration(n) * 10 * time.Millisecond) },
	"narrow":                 func(f *megatest.Faults, _ int) { f.SetBandwidth(1<<20, 4<<20) },
	"commands 500":           func(f *megatest.Faults, n int) { f.FailHTTP(megatest.API, 500, n) },
	"events 503":             func(f *megatest.Faults, n int) { f.FailHTTP(megatest.Events, 503, n) },
	"uploads 500":            func(f *megatest.Faults, n int) { f.FailHTTP(megatest.Uploads, 500, n) },
	"downloads 503":          func(f *megatest.Faults, n int) { f.FailHTTP(megatest.Downloads, 503, n) },
	"downloads cut":          func(f *megatest.Faults, n int) { f.CutDownloads(int64(n)*1000, n) },
	"batches busy":           func(f *megatest.Faults, n int) { f.FailBatch("", -3, n) },
	"cut before a batch":     func(f *megatest.Faults, n int) { f.DropBefore("", n) },
	"answers of p lost":      func(f *megatest.Faults, n int) { f.DropAfter("p", n) },
	"answers of pieces lost": func(f *megatest.Faults, n int) { f.LoseUploadAnswers(n) },
	"uploads lost":           func(f *megatest.Faults, _ int) { f.LoseUploads() },
	"URLs expire":            func(f *megatest.Faults, _ int) { f.ExpireURLs() },
	"polls fail":             func(f *megatest.Faults, n int) { f.FailPoll(-3, n) },
	"packets one by one":     func(f *megatest.Faults, _ int) { f.SlicePackets(1) },
	"packets come again":     func(f *megatest.Faults, n int) { f.Redeliver(n) },
}

// trouble sets faults until the end of the round, each for up to a fifth of it, and then takes all back.
func (s *soak) trouble(rng *rand.Rand, end time.Time) {
	var names []string
	for name := range soakFaults {
		names = append(names, name)
	}
	for faults := s.k.p.Server.Faults(); ; faults.Clear() {
		rest := min(time.Until(end), time.Duration(rng.Int64N(int64(s.round)/5)))
		if rest <= 0 {
			return
		}
		name := names[rng.IntN(len(names))]
		s.faults[name]++
		soakFaults[name](faults, 1+rng.IntN(4))
		pause := time.NewTimer(rest)
		<-pause.C
	}
}

// watch looks through the other mount, and leaves something there, until the end of the round.
func (s *soak) watch(end time.Time) {
	for n := 0; time.Now().Before(end); n++ {
		cmd := exec.Command("sh", "-c", fmt.Sprintf(
			"mkdir -p witness && echo %d >witness/%d && find . -type f -size -200k | head -50 | xargs -r -d '\\n' cat >/dev/null 2>&1 || true", n, n%10))
		cmd.Dir = s.witness.Point
		if out, err := cmd.CombinedOutput(); err != nil {
			s.k.t.Errorf("in the other mount: %v: %s", err, out)
			return
		}
	}
}

// same waits until both mounts show what the cloud holds.
func (s *soak) same() {
	s.k.t.Helper()
	want := map[string]string{}
	for path, e := range s.k.account.Tree() {
		require.NotContains(s.k.t, path, "(conflict ", "each writes in folders of its own")
		want[path] = cloudEntry(e)
	}
	for _, p := range []*program.Program{s.k.p, s.witness} {
		var here map[string]string
		require.Eventually(s.k.t, func() bool {
			var err error
			here, err = treeOf(p.Point, ".")
			return err == nil && len(here) == len(want)
		}, bounded, 50*time.Millisecond, "%s never shows as much as the cloud has", p.Point)
		require.Equal(s.k.t, want, here, p.Point)
	}
}

// sample notes what all of it takes.
func (s *soak) sample(at time.Duration) {
	k := s.k
	k.t.Helper()
	last := &s.samples[len(s.samples)-1]
	last.at, last.footprint = at, footprintOf(k.t, s.witness, s.socket)
	require.LessOrEqual(k.t, last.cacheFiles, int64(mostCacheFiles))
	trees, err := filepath.Glob(filepath.Join(k.p.Dir, "state", "*", "*", "tree"))
	require.NoError(k.t, err)
	require.Len(k.t, trees, 1)
	last.debris = diskUse(k.t, filepath.Join(filepath.Dir(trees[0]), "debris")) // 0 if nothing was ever kept
	last.cache = diskUse(k.t, filepath.Join(k.p.Dir, "cache"))
	last.state = diskUse(k.t, filepath.Join(k.p.Dir, "state")) - last.debris
	k.t.Log(*last)
}

func (m soakSample) String() string {
	return fmt.Sprintf("| %v | %.0f | %.0f | %.0f | %d | %d | %d | %.0f | %.0f | %.0f | %d |", m.at.Round(time.Minute), mib(m.resident), mib(m.private),
		mib(m.heap), m.goroutines, m.descriptors, m.cacheFiles, mib(m.state), mib(m.debris), mib(m.cache), m.pending)
}

// quarter is the mean of a quarter of the samples.
func (s *soak) quarter(i int) (mean soakSample) {
	part := s.samples[len(s.samples)*i/4 : len(s.samples)*(i+1)/4]
	for _, m := range part {
		mean.footprint = mean.plus(m.footprint)
		mean.at, mean.state, mean.debris, mean.cache = m.at, mean.state+m.state, mean.debris+m.debris, mean.cache+m.cache
		mean.pending = max(mean.pending, m.pending)
	}
	n := int64(max(len(part), 1))
	mean.footprint, mean.state, mean.debris, mean.cache = mean.through(n), mean.state/n, mean.debris/n, mean.cache/n
	return mean
}

func (s *soak) report() {
	var b strings.Builder
	fmt.Fprintf(&b, "%d eras, %d kills, %d remounts, faults: %v\n", len(s.samples), s.kills, s.remount, s.faults)
	b.WriteString("| until | resident, MiB | private | heap | goroutines | descriptors | of cache files | state on disk, MiB | debris | cache | most pending |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range 4 {
		fmt.Fprintln(&b, s.quarter(i))
	}
	s.k.t.Log(b.String())
}

// requireNoGrowth compares the last quarter with the second; in the first all is still being filled.
func (s *soak) requireNoGrowth() {
	second, last := s.quarter(1), s.quarter(3)
	for what, grown := range map[string][3]int64{
		"resident memory": {second.resident, last.resident, 16 << 20}, "private memory": {second.private, last.private, 16 << 20},
		"heap": {second.heap, last.heap, 8 << 20}, "goroutines": {second.goroutines, last.goroutines, 10},
		"descriptors": {second.descriptors, last.descriptors, 10}, "state on disk": {second.state, last.state, 32 << 20},
	} {
		require.LessOrEqual(s.k.t, grown[1], grown[0]*11/10+grown[2], "%s grows", what)
	}
}

// diskUse is what a folder takes on the disk.
func diskUse(t *testing.T, dir string) (sum int64) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		var st syscall.Stat_t
		if err == nil && syscall.Lstat(path, &st) == nil { // else it went meanwhile
			sum += st.Blocks * 512
		}
		return nil
	}))
	return sum
}
