package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/cache"
	"megadisk/integration/harness"
	"megadisk/integration/program"
	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// isLong says that tests run in their long form, where times count.
func isLong() bool { return os.Getenv("MEGADISK_LONG") != "" }

// TestChangesElsewhereAreSeenSoon: what another client does is seen by ls, and by the next open, also while a read is
// stalled. The long form demands 300 ms for 95 of 100, at a round trip of 50 ms.
func TestChangesElsewhereAreSeenSoon(t *testing.T) {
	rounds := 10
	if isLong() {
		rounds = 100
	}
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		a.PutFile(a.Root(), "stalled", make([]byte, 4<<20), megatestTime)
		a.PutFile(a.Root(), "changing", []byte("0"), megatestTime)
	}), harness.WithCache(func(o *cache.Options) { o.Timeout = 2 * time.Second }))
	h.Server.Faults().SetLatency(50 * time.Millisecond)
	require.Equal(t, "0", string(readFile(t, h.Dir, "changing")))
	h.Server.Faults().StallDownloads(0, megatest.Always)
	var readers sync.WaitGroup
	var over atomic.Bool
	readers.Go(func() {
		for !over.Load() {
			_, _ = os.ReadFile(h.Path("stalled")) // fails after a while, and begins anew
		}
	})
	defer readers.Wait()
	defer over.Store(true)
	awaitStats(t, h.Server, func(megatest.Stats) bool { return h.Cache.Stats().MemoryUnits > 0 })

	var took []time.Duration
	measure := func(change, heard func()) {
		begun := time.Now()
		change()
		heard()
		took = append(took, time.Since(begun))
	}
	listed := func(name string) bool {
		list, err := os.ReadDir(h.Dir)
		require.NoError(t, err)
		return slices.ContainsFunc(list, func(e os.DirEntry) bool { return e.Name() == name })
	}
	for n := range rounds {
		name := fmt.Sprint("new", n)
		measure(func() { h.Account.Mkdir(h.Account.Root(), name) }, func() { h.Await(name) })
		require.True(t, listed(name))
		content := []byte(strings.Repeat("x", n+2))
		measure(func() { h.Account.PutVersion(h.Account.Find("changing"), content, megatestTime) }, func() {
			h.AwaitInode("changing", func(in tree.Inode) bool { return in.Size == int64(len(content)) })
		})
		f, err := os.Open(h.Path("changing"))
		require.NoError(t, err)
		info, err := f.Stat()
		require.NoError(t, err)
		require.EqualValues(t, len(content), info.Size())
		require.NoError(t, f.Close())
	}
	slices.Sort(took)
	p95 := took[len(took)*95/100]
	t.Logf("%d changes: median %v, 95th of 100 %v, slowest %v", len(took), took[len(took)/2], p95, took[len(took)-1])
	if isLong() {
		require.Less(t, p95, 300*time.Millisecond)
	}
}

func awaitStats(t *testing.T, s *megatest.Server, cond func(megatest.Stats) bool) {
	t.Helper()
	require.Eventually(t, func() bool { return cond(s.Stats()) }, bounded, 5*time.Millisecond)
}

// TestNothingIsAskedPeriodically: while nothing happens, nothing goes over the wire but the long poll, which the server
// ends when it likes.
func TestNothingIsAskedPeriodically(t *testing.T) {
	quiet, tries := 2*time.Second, 15
	if isLong() {
		quiet, tries = 3*time.Minute, 1
	}
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) { a.PutFile(a.Root(), "f", []byte("f"), megatestTime) }))
	requireEventuallyFile(t, h.Path("f"), "f")
	asked := func() string {
		st := h.Server.Stats()
		return fmt.Sprint(st.Batches, st.Pieces, st.Downloads, st.Commands)
	}
	awaitStats(t, h.Server, func(st megatest.Stats) bool { return st.Waiting == 1 })
	for ; ; tries-- {
		before, polls, begun := asked(), h.Server.Stats().Polls, time.Now()
		time.Sleep(quiet) // that nothing happens needs time
		if asked() == before {
			more := h.Server.Stats().Polls - polls
			// A busy machine sleeps longer, and more waits end meanwhile.
			require.LessOrEqual(t, more, 1+int(time.Since(begun)/(20*time.Second)), "polls are as many as the server's waits end")
			return
		}
		require.Positive(t, tries, "something is asked all the time: %s, then %s", before, asked())
	}
}

// TestSharesAreLive: a share's access changes, its keys come late, and it goes, all without a remount.
func TestSharesAreLive(t *testing.T) {
	for name, opts := range map[string][]megatest.AccountOption{"old": nil, "with ^!keys": {megatest.WithAccountKeys()}} {
		t.Run(name, func(t *testing.T) {
			h := harness.New(t, harness.WithAccount(opts...))
			ben := h.Server.AddAccount("ben@example.com", "another", opts...)
			folder := ben.Mkdir(ben.Root(), "lent")
			ben.PutFile(folder, "f", []byte("text"), megatestTime)
			ben.Share(folder, h.Account, megaclient.AccessRead)
			var dir string
			require.Eventually(t, func() bool {
				owners, err := os.ReadDir(h.Path(".mega/shares"))
				if err != nil || len(owners) != 1 {
					return false
				}
				dir = h.Path(".mega/shares", owners[0].Name(), "lent")
				text, err := os.ReadFile(filepath.Join(dir, "f"))
				return err == nil && string(text) == "text"
			}, bounded, 5*time.Millisecond, "the share, with its keys, does not come")
			require.ErrorIs(t, os.WriteFile(filepath.Join(dir, "mine"), nil, 0o644), os.ErrPermission)

			ben.Share(folder, h.Account, megaclient.AccessFull)
			require.Eventually(t, func() bool { return os.WriteFile(filepath.Join(dir, "mine"), []byte("mine"), 0o644) == nil },
				bounded, 5*time.Millisecond, "more access does not come")
			h.Drain()
			require.Equal(t, "mine", string(ben.ReadFile(ben.Find("lent/mine"))))

			ben.Unshare(folder, h.Account)
			require.Eventually(t, func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) },
				bounded, 5*time.Millisecond, "the share does not go")
		})
	}
}

// TestTraceLogShowsEvents: their shape, and no names.
func TestTraceLogShowsEvents(t *testing.T) {
	p, account := program.WithAccount(t)
	p.Login()
	p.Run("--log-level", "trace", "mount", p.Point)
	account.PutFile(account.Root(), "a telling name", []byte("text"), megatestTime)
	requireEventuallyFile(t, filepath.Join(p.Point, "a telling name"), "text")
	var all string
	for _, log := range p.Logs() {
		text, err := os.ReadFile(log)
		require.NoError(t, err)
		all += string(text)
	}
	require.Contains(t, all, "an event of the stream")
	require.Contains(t, all, account.Find("a telling name"), "the handle")
	require.NotContains(t, all, "telling")
}
