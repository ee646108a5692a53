package writeback

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// crashChildVariable makes the test binary the child of a crash test; its
// value is a crashJob.
const crashChildVariable = "MEGADISK_CRASH_CHILD"

// crashJob tells the child what to do.
type crashJob struct {
	URL     string
	Session megaclient.Session
	Dir     string
	Seed    uint64
	Steps   int
	Append  bool // appendForever in place of steps
	// Overwrite: overwriteForever in place of steps.
	Overwrite bool
	// Save: saveForever in place of steps.
	Save bool

	early bool // its time to live begins with its start, not with its first word
}

// crashStep is one operation of the child. What is done in a step is
// acknowledged when the child says so.
type crashStep struct {
	Op       string // "write", "rename", "unlink"
	Path, To string
	Content  string
}

func (s crashStep) apply(m model) {
	switch s.Op {
	case "write":
		m[s.Path] = s.Content
	case "rename":
		if v, ok := m[s.Path]; ok {
			delete(m, s.Path)
			m[s.To] = v
		}
	case "unlink":
		delete(m, s.Path)
	}
}

// touches tells whether the step may have changed a path.
func (s crashStep) touches(p string) bool { return p == s.Path || p == s.To }

func nextCrashStep(rnd *rand.Rand, i int) crashStep {
	name := func() string { return string(rune('a' + rnd.IntN(6))) }
	switch rnd.IntN(6) {
	case 0:
		return crashStep{Op: "unlink", Path: name()}
	case 1, 2:
		return crashStep{Op: "rename", Path: name(), To: name()}
	}
	return crashStep{Op: "write", Path: name(), Content: fmt.Sprintf("content %d %s", i, strings.Repeat("x", rnd.IntN(300)))}
}

// crashChild works until it is killed or done.
func crashChild() int {
	var job crashJob
	if err := json.Unmarshal([]byte(os.Getenv(crashChildVariable)), &job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := runCrashJob(job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runCrashJob(job crashJob) error {
	ctx := context.Background()
	client, err := megaclient.Resume(megaclient.Config{APIURL: job.URL}, job.Session)
	if err != nil {
		return err
	}
	c, err := cache.Open(cache.Options{Fetch: func(ctx context.Context, f cache.File, off, n int64, w io.Writer) error {
		return client.ReadContent(ctx, megaclient.Handle(f.Handle), off, n, w)
	}})
	if err != nil {
		return err
	}
	key, err := OpenStateKey(job.Dir, job.Session.MasterKey)
	if err != nil {
		return err
	}
	fast := 5 * time.Millisecond
	e, err := Open(ctx, Options{Dir: job.Dir, StateKey: key, Client: client, Cache: c, MinFree: -1, Reserve: -1,
		SegmentSize: testSegment / 4, Timings: Timings{ // so small that staged bytes are moved all the time
			Settle: fast, SettleMax: 4 * fast, DeleteSettle: fast, DeleteMax: 4 * fast, Commit: fast, Compact: fast, RetryFirst: fast, LateGrace: fast,
		}})
	if err != nil {
		return err
	}
	go func() { _ = e.Run(ctx) }()
	if err := e.Ready(ctx); err != nil {
		return err
	}
	if job.Append {
		return appendForever(ctx, e, job.Seed)
	}
	if job.Overwrite {
		return overwriteForever(ctx, e, job.Seed)
	}
	if job.Save {
		return saveForever(ctx, e, job.Seed)
	}
	out := json.NewEncoder(os.Stdout)
	rnd := rand.New(rand.NewPCG(job.Seed, 1))
	for i := range job.Steps {
		s := nextCrashStep(rnd, i)
		if err := out.Encode(s); err != nil {
			return err
		}
		if err := s.run(ctx, e); err != nil {
			return err
		}
		fmt.Println("done")
		if rnd.IntN(4) == 0 {
			time.Sleep(fast) // let the flusher come in between; not a wait for anything
		}
	}
	return e.Flush(ctx, 0)
}

func (s crashStep) run(ctx context.Context, e *Engine) error {
	ignore := func(err error) error {
		if errors.Is(err, tree.ErrNotFound) {
			return nil
		}
		return err
	}
	switch s.Op {
	case "unlink":
		return ignore(e.Unlink(ctx, tree.DriveIno, s.Path))
	case "rename":
		return ignore(e.Rename(ctx, tree.DriveIno, s.Path, tree.DriveIno, s.To, false))
	}
	in, err := e.Tree().Lookup(tree.DriveIno, s.Path)
	if errors.Is(err, tree.ErrNotFound) {
		in, err = e.Create(ctx, tree.DriveIno, s.Path, 0o644)
	}
	if err != nil {
		return err
	}
	f, err := e.Open(ctx, in.Ino, true, true)
	if err != nil {
		return err
	}
	defer f.Release()
	if _, err := f.WriteAt(ctx, []byte(s.Content), 0); err != nil {
		return err
	}
	return f.Flush(ctx)
}

// runChild runs the child until it dies, and gives what it acknowledged and
// the step that it died in, if any.
func (r *rig) runChild(m model, seed uint64, failpoint string, killAfter time.Duration) (pending *crashStep) {
	r.Helper()
	err := r.killChild(crashJob{Seed: seed, Steps: 300, early: seed%2 == 1}, failpoint, killAfter, func(line []byte) {
		if string(line) == "done" {
			pending.apply(m)
			pending = nil
			return
		}
		pending = &crashStep{}
		if json.Unmarshal(line, pending) != nil {
			pending = nil // cut in the middle: the step had not begun
		}
	})
	r.Logf("child: %v; %d paths acknowledged so far", err, len(m))
	if failpoint != "" {
		require.ErrorContains(r, err, "killed", "the failpoint was never met")
	}
	return pending
}

// killChild runs a child until it is killed or done, with each line that it says. An end of another kind, a panic say,
// fails the test.
func (r *rig) killChild(job crashJob, failpoint string, killAfter time.Duration, said func(line []byte)) error {
	r.Helper()
	job.URL, job.Session, job.Dir = r.server.URL(), r.session, r.dir
	text, err := json.Marshal(job)
	require.NoError(r, err)
	cmd := exec.CommandContext(r.ctx, os.Args[0])
	cmd.Env = append(os.Environ(), crashChildVariable+"="+string(text), failpointVariable+"="+failpoint)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	require.NoError(r, err)
	require.NoError(r, cmd.Start())
	killer := time.AfterFunc(never, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	counts := sync.OnceFunc(func() {
		if killAfter > 0 {
			killer.Reset(killAfter)
		}
	})
	if job.early {
		counts()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		counts()
		said(lines.Bytes())
	}
	err = cmd.Wait()
	require.False(r, err != nil && cmd.ProcessState.Exited(), "the child wasn't killed: %v\n%s", err, &complaints)
	return err
}

// killsOr is how many kills a test makes: few, or as many as said when there is time.
func killsOr(long int) int {
	if os.Getenv("MEGADISK_LONG") != "" {
		return long
	}
	return 8
}

// killEventually kills a child after some 160 ms, at no moment of note.
func (r *rig) killEventually(rnd *rand.Rand, job crashJob, said func(line []byte)) {
	r.Helper()
	_ = r.killChild(job, "", time.Duration(60+rnd.IntN(200))*time.Millisecond, said)
}

// settleCrash brings the model in line with what the step that was cut off may
// have left, and checks that nothing else is different.
func (r *rig) settleCrash(m model, pending *crashStep) {
	r.Helper()
	view := r.cloud()
	for p := range view {
		if m[p] != view[p] && (pending == nil || !pending.touches(p)) {
			require.Equal(r, m[p], view[p], "path %s", p)
		}
	}
	for p := range m {
		if _, ok := view[p]; !ok && (pending == nil || !pending.touches(p)) {
			require.Fail(r, "lost", "path %s", p)
		}
	}
	clear(m)
	for p, v := range view {
		m[p] = v
	}
}

func testCrash(t *testing.T, seed uint64, failpoint string, killAfter time.Duration, behind bool) {
	r := newRig(t, settleNever)
	r.stop()
	m := model{}
	for round := range 2 {
		if failpoint == "fetched" {
			// So that the child has to fetch.
			r.account.Trash(r.account.Mkdir(r.account.Root(), "other"))
			r.server.Faults().ForgetPackets()
		}
		if behind {
			r.server.Faults().FailPoll(int(megaclient.EAGAIN), megatest.Always)
		}
		pending := r.runChild(m, seed+uint64(round), failpoint, killAfter)
		r.server.Faults().Clear()
		r.server.Faults().ForgetRequestIDs()
		r.server.Faults().SlicePackets(1)
		r.start()
		r.flush()
		r.settleCrash(m, pending)
		r.caughtUp()
		for p, want := range m {
			require.Equal(t, want, r.read(p), p)
		}
		// An echo may have brought up once more what differed when its command was sent: a look is all that it needs.
		sent := sends(r.server.Stats())
		r.flush()
		require.Equal(t, sent, sends(r.server.Stats()), "nothing is sent for it")
		require.Empty(t, r.engine.Status().Pending)
		r.stop()
	}
}

// Killed at each failpoint: what was acknowledged is there, and goes up once.
func TestKilledAtFailpoints(t *testing.T) {
	for i, failpoint := range []string{
		"fetched", "upload-begin:2", "upload-end:3", "before-send:1", "before-send:4", "after-send:1", "after-send:3",
		"acknowledged:2", "events-applied:2", "committed:5",
	} {
		t.Run(failpoint, func(t *testing.T) { testCrash(t, uint64(100*i), failpoint, 0, false) })
	}
}

// Killed at any moment, also while the packets of what was sent are still to
// come.
func TestKilledAtRandom(t *testing.T) {
	rnd := testRandom()
	for i := range 4 {
		after, behind, seed := time.Duration(50+rnd.IntN(200))*time.Millisecond, i%2 == 1, rnd.Uint64()>>1
		t.Run(fmt.Sprintf("%v behind=%v", after, behind), func(t *testing.T) {
			testCrash(t, seed, "", after, behind)
		})
	}
}
