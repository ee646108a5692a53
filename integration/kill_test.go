package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/program"
	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
)

// TestKilledWhileProgramsWrite kills the mounting process again and again while programs write: at a named moment of
// its own work (a failpoint) or at any. After each remount all that a program had been told is there; after a flush
// the cloud holds the same, once. MEGADISK_KILLS=n makes it n kills (`make crash KILLS=n`); otherwise they are few,
// and always the same.
func TestKilledWhileProgramsWrite(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv("MEGADISK_KILLS"))
	seed := rand.Uint64()
	if err != nil {
		kills, seed = 4, 1
	}
	if n, err := strconv.ParseUint(os.Getenv("MEGADISK_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("MEGADISK_SEED=%d", seed)
	p, account := mountedProgram(t)
	k := &killer{t: t, p: p, account: account, rng: rand.New(rand.NewPCG(seed, 0)), met: map[string]int{}}
	k.works = []killedWork{newFiles(k), newAppender(k), newDatabase(k, "delete"), newDatabase(k, "wal"), newArchive(k), newRepository(k)}
	p.Run("unmount", p.Point)
	for i := range kills {
		k.round(i)
	}
	k.mount("")
	for _, w := range k.works {
		w.check()
	}
	k.converged()
	t.Logf("%d kills: %v", kills, k.met)
}

// killer is one account with its programs.
type killer struct {
	t       *testing.T
	p       *program.Program
	account *megatest.Account
	rng     *rand.Rand
	works   []killedWork
	met     map[string]int // how often which kind of kill was used

	pid   int         // the process of this round
	timer *time.Timer // that kills it, if it hasn't done that itself
}

// killedWork is something that a program does in the mount, over and over.
type killedWork interface {
	// step does the next thing. false: the mount is gone.
	step(rng *rand.Rand) bool
	// check looks, after a remount, whether all is there that a step had been told.
	check()
}

// killPoints are the failpoints of package writeback that come while programs write.
var killPoints = []string{"committed", "upload-begin", "upload-end", "before-send", "after-send", "acknowledged", "events-applied"}

// killLimit bounds the work before a kill: a failpoint may not come by again.
const killLimit = 1500 * time.Millisecond

// round is one kill, at a failpoint or at random, and what must be true after it.
func (k *killer) round(i int) {
	where, after := "any moment", time.Duration(k.rng.Int64N(int64(killLimit)))
	failpoint := ""
	if i%3 != 2 {
		where, after = killPoints[k.rng.IntN(len(killPoints))], killLimit
		failpoint = fmt.Sprintf("%s:%d", where, 1+k.rng.IntN(12))
	}
	if behind := k.rng.IntN(2) == 0; behind {
		// The packets of what it sends come only after the next start, one by one.
		k.p.Server.Faults().FailPoll(int(megaclient.EAGAIN), megatest.Always)
	}
	pid := k.mount(failpoint)
	var programs sync.WaitGroup
	works := k.some(2)
	if pid == 0 { // the failpoint came by while it started: what an earlier kill left was sent just then
		k.met[where+", starting"]++
		k.remount(i, where, works)
		return
	}
	k.pid = pid
	k.timer = time.AfterFunc(after, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	for _, w := range works {
		rng := rand.New(rand.NewPCG(k.rng.Uint64(), 1))
		programs.Go(func() {
			for w.step(rng) {
			}
		})
	}
	if k.rng.IntN(2) == 0 { // so that what was just written is under way
		programs.Go(func() {
			for status := 0; status == 0; {
				_, _, status = k.p.Try("", "flush")
			}
		})
	}
	program.AwaitGone(k.t, pid)
	if k.timer.Stop() {
		k.met[where]++
	} else {
		k.met["any moment"]++
	}
	programs.Wait()
	k.remount(i, where, works)
}

// remount takes a dead mount away, mounts again, and looks whether all is there.
func (k *killer) remount(i int, where string, works []killedWork) {
	k.t.Helper()
	require.False(k.t, k.t.Failed(), "round %d: %s", i, where)
	_, _, _ = k.p.Try("", "unmount", k.p.Point) // it may have died before it was mounted
	k.mount("")
	k.p.Server.Faults().Clear()
	k.p.Server.Faults().SlicePackets(1)
	defer k.p.Server.Faults().Clear()
	for _, w := range works {
		w.check()
	}
	require.False(k.t, k.t.Failed(), "round %d: killed at %s", i, where)
	if i%5 == 4 {
		k.converged()
	}
	k.p.Run("unmount", "--no-wait", k.p.Point)
}

// mount mounts a process that kills itself at a failpoint, and gives its number; 0 if that came before it had mounted.
func (k *killer) mount(failpoint string) int {
	k.t.Helper()
	p := *k.p
	p.Env = append(slices.Clone(p.Env), "MEGADISK_FAILPOINT="+failpoint)
	_, errs, status := p.Try("", "mount", p.Point)
	all := p.Statuses()
	if failpoint != "" && (status != 0 || len(all) == 0) {
		return 0
	}
	require.Zero(k.t, status, errs)
	require.Len(k.t, all, 1)
	return all[0].PID
}

// some picks n of the works.
func (k *killer) some(n int) (picked []killedWork) {
	for _, i := range k.rng.Perm(len(k.works))[:n] {
		picked = append(picked, k.works[i])
	}
	return picked
}

// converged compares the mount with the cloud, after a flush: the same names, the same bytes, nothing twice.
func (k *killer) converged() {
	k.t.Helper()
	sameInCloud(k.t, k.p, k.account, ".")
	for path := range k.account.Tree() {
		require.NotContains(k.t, path, "(conflict ", "nobody else writes here")
	}
}

func (k *killer) path(elem ...string) string {
	return filepath.Join(append([]string{k.p.Point}, elem...)...)
}

// dead tells whether an error is that of a mount whose process was killed. Any other fails the test.
func (k *killer) dead(doing string, err error) bool {
	if err == nil {
		return false
	}
	for _, gone := range []syscall.Errno{syscall.ENOTCONN, syscall.ECONNABORTED, syscall.EIO} {
		if strings.Contains(err.Error(), gone.Error()) && k.gone() {
			return true
		}
	}
	k.t.Errorf("%s: %v", doing, err)
	return true
}

// gone tells whether the mount's process is dead, or dying: of what is under way in its threads just then the kernel
// makes EIO, before it lets go of the mount. Nobody kills it because of the question.
func (k *killer) gone() bool {
	if k.timer != nil {
		k.timer.Stop()
	}
	ended, err := program.Ends(k.pid, time.Minute)
	if err != nil {
		k.t.Error(err)
	}
	var st syscall.Statfs_t
	return ended && syscall.Statfs(k.p.Point, &st) == syscall.ENOTCONN
}
