package writeback

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// everyCode are all numbers that the server may refuse with, but for those that end or block the session
// (TestSessionEnded, TestBlockedAccount), and two that nobody knows.
func everyCode() (codes []int) {
	for code := -1; code >= int(megaclient.ESUBUSERKEYMISSING); code-- {
		if code != int(megaclient.ESID) && code != int(megaclient.EBLOCKED) {
			codes = append(codes, code)
		}
	}
	return append(codes, -99, -1<<31)
}

// withEachCode has numbers tried by several accounts side by side, each a part of them.
func withEachCode(t *testing.T, change func(*Options), try func(r *rig, codes []int)) {
	sideBySide(t, change, everyCode(), try)
}

func sideBySide[T any](t *testing.T, change func(*Options), all []T, try func(r *rig, some []T)) {
	const accounts = 8
	for part := range accounts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(o *Options) {
				change(o)
				o.Timings.RetryFirst, o.Timings.RetryMax = time.Millisecond, 10*time.Millisecond
			})
			var some []T
			for i, one := range all {
				if i%accounts == part {
					some = append(some, one)
				}
			}
			try(r, some)
		})
	}
}

// Whichever number refuses whichever command: nothing is lost here, and once the server is sound again the cloud comes to
// hold the same, at once for what was asked to be tried again.
func TestEveryCodeOnEveryCommandOfChanges(t *testing.T) {
	withEachCode(t, settleNever, func(r *rig, codes []int) {
		m := model{}
		for _, code := range codes {
			for _, command := range []string{"p", "u", "a", "m"} {
				dir := fmt.Sprint("dir", command, code)
				r.server.Faults().FailCommand(command, code, 2)
				r.refusedWork(m, dir)
				_ = r.engine.Flush(r.ctx, 0) // it ends, also where what is refused holds up others
				require.NoError(r, r.ctx.Err(), dir)
				r.requireHere(m, dir)
				r.server.Faults().Clear()
				r.eventually(func() bool {
					r.engine.Retry()
					return r.engine.Flush(r.ctx, 0) == nil
				})
				r.requireSame(m, r.cloud(), dir+": the cloud")
			}
		}
		r.caughtUp()
		r.requireHere(m, "in the end")
		require.Empty(r, r.engine.Status().Pending)
	})
}

// refusedWork needs every command that changes send.
func (r *rig) refusedWork(m model, dir string) {
	r.Helper()
	r.mkdir(dir)
	m[dir] = "/"
	for _, p := range []string{dir + "/new", "common"} { // one of them a new version
		r.write(p, p+" of "+dir)
		m[p] = p + " of " + dir
	}
	if _, ok := m["moved"]; ok {
		r.rename("moved", dir+"/moved")
		m.move("moved", dir+"/moved")
		r.unlink("gone")
		delete(m, "gone")
	}
	for _, p := range []string{"moved", "gone"} {
		r.write(p, "first of "+dir)
		m[p] = "first of " + dir
	}
	from, to := "ping", "pong" // its name alone changes
	if _, ok := m[from]; !ok {
		from, to = to, from
	}
	if _, ok := m[from]; ok {
		r.rename(from, to)
		m.move(from, to)
	} else {
		r.write(from, "its name changes")
		m[from] = "its name changes"
	}
}

// The same of deletions for good, of what was removed here and of what `bin empty` finds: nothing else goes, and it goes
// in the end. What the server doesn't know is gone.
func TestEveryCodeOnDeletionsForGood(t *testing.T) {
	withEachCode(t, permanent, func(r *rig, codes []int) {
		stays := r.account.PutFile(r.account.Root(), "stays", []byte("x"), time.Unix(1, 0))
		for _, code := range codes {
			if code == int(megaclient.ENOENT) {
				continue
			}
			mine := r.account.PutFile(r.account.Root(), "mine", []byte("x"), time.Unix(1, 0))
			r.caughtUp()
			refused := r.server.Stats().Faults
			r.server.Faults().FailCommand("d", code, 1)
			r.unlink("mine")
			r.flush()
			r.eventually(func() bool { return r.server.Stats().Faults > refused })
			r.caughtUp()
			r.eventually(func() bool {
				r.engine.Retry()
				return r.nothingLeft()
			})

			theirs := r.account.PutFile(r.account.Root(), "theirs", []byte("x"), time.Unix(1, 0))
			r.account.Trash(theirs)
			r.caughtUp()
			r.server.Faults().FailCommand("d", code, 1)
			_, err := r.engine.EmptyBin(r.ctx, time.Now().Add(time.Hour))
			require.Error(r, err, code)
			_, err = r.engine.EmptyBin(r.ctx, time.Now().Add(time.Hour))
			require.NoError(r, err, code)
			r.caughtUp()
			require.False(r, r.account.Exists(theirs), code)
			require.False(r, r.account.Exists(mine), code)
			require.True(r, r.account.Exists(stays), code)
		}
	})
}

// streamFault is something that the event stream answers.
type streamFault struct {
	name string
	set  func(*megatest.Faults)
}

// streamFaults are every number, every status in place of events, and some in place of a wait's end.
func streamFaults() (all []streamFault) {
	for _, code := range everyCode() {
		all = append(all, streamFault{fmt.Sprint("number ", code), func(f *megatest.Faults) { f.FailPoll(code, 1) }})
	}
	status := func(where megatest.Endpoint, status int) {
		all = append(all, streamFault{fmt.Sprint(where, " status ", status), func(f *megatest.Faults) { f.FailHTTP(where, status, 1) }})
	}
	for code := http.StatusCreated; code < 600; code++ {
		if http.StatusText(code) != "" && code != http.StatusTooManyRequests { // asks for a second's rest
			status(megatest.Events, code)
		}
	}
	for _, code := range []int{301, 404, 500, 503, 509} {
		status(megatest.Waits, code)
	}
	return all
}

// Whatever the event stream answers once, what others did meanwhile shows in the end.
func TestEveryAnswerOfTheEventStream(t *testing.T) {
	sideBySide(t, settleNever, streamFaults(), func(r *rig, some []streamFault) {
		for _, fault := range some {
			hit := r.server.Stats().Faults
			fault.set(r.server.Faults())
			r.account.Mkdir(r.account.Root(), fault.name)
			r.eventually(func() bool {
				_, err := r.engine.Tree().Lookup(tree.DriveIno, fault.name)
				return err == nil && r.server.Stats().Faults > hit
			})
		}
	})
}
