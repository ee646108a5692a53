package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// silentFor is after how long without a sign of the server a connection counts as broken.
func silentFor() string {
	if os.Getenv("MEGADISK_LONG") != "" {
		return "25s" // as usual
	}
	return "2s"
}

// awayFor is how long the network stays away after that: ten minutes in the long form.
func awayFor() time.Duration {
	if os.Getenv("MEGADISK_LONG") != "" {
		return 10 * time.Minute
	}
	return 0
}

// TestWorkGoesOnThroughACut: with the network away, everything that needs no server works and what needs one fails
// soon; when it is back, all converges within a minute, and nobody has to do anything for it.
func TestWorkGoesOnThroughACut(t *testing.T) {
	needs.FUSE(t)
	needs.Programs(t, "git", "rsync")
	for _, name := range []string{"no route", "half open"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newNetwork(t)
			p, account := w.program()
			throughACut(t, p, account, func() { cuts[name].cut(w) }, func() { cuts[name].mend(w) })
		})
	}
	t.Run("server gone", func(t *testing.T) {
		t.Parallel()
		p, account := program.WithAccount(t)
		gate := newGate(t, p.Server)
		p.Env = append(p.Env, "MEGADISK_API_URL="+gate.url())
		throughACut(t, p, account, gate.close, gate.open)
	})
}

// patience is how long a read waits without progress. What is here is read in that time on a machine that stands still for a
// while, too; what isn't makes the test wait for it once.
const patience = "timeout=15s"

func throughACut(t *testing.T, p *program.Program, account *megatest.Account, cut, mend func()) {
	pinned, far := noise(300_000, 1), noise(2<<20, 2)
	account.PutFile(account.Mkdir(account.Root(), "pinned"), "f", pinned, megatestTime)
	account.PutFile(account.Root(), "far", far, megatestTime)
	p.Login()
	p.Run("mount", "-o", patience+",silence="+silentFor(), p.Point)
	p.Run("pin", filepath.Join(p.Point, "pinned"))
	p.Shell("git init -q -b main repo && cd repo && echo 1 >f && git add f && git commit -qm one")
	p.Run("flush")
	require.Eventually(t, func() bool {
		st := p.Statuses()
		return len(st) == 1 && len(st[0].Pinned) == 1 && st[0].Pinned[0].Here == int64(len(pinned))
	}, bounded, 20*time.Millisecond)

	cut()
	work(t, p, pinned, 0)
	begun := time.Now()
	require.Eventually(t, func() bool { return offlineSince(p) != nil }, bounded, 50*time.Millisecond, "the cut isn't noticed")
	t.Logf("noticed %.1f s after the first work was done", time.Since(begun).Seconds())
	_, err := os.ReadFile(filepath.Join(p.Point, "far"))
	require.Error(t, err, "content that isn't here can't be read")
	for n, end := 1, time.Now().Add(awayFor()); ; n++ {
		work(t, p, pinned, n)
		if time.Now().After(end) {
			break
		}
		time.Sleep(20 * time.Second) // the long form: people work, and pause
	}
	require.NotNil(t, offlineSince(p))
	// Mounting needs no network either.
	p.Run("unmount", "--no-wait", p.Point)
	p.Run("mount", "-o", patience+",silence="+silentFor(), p.Point)
	work(t, p, pinned, 1000)
	account.PutFile(account.Root(), "from elsewhere", []byte("while away"), megatestTime)

	mend()
	back := time.Now()
	p.Run("flush")
	requireEventuallyFile(t, filepath.Join(p.Point, "from elsewhere"), "while away")
	require.Nil(t, offlineSince(p))
	require.Less(t, time.Since(back), time.Minute, "all converges within a minute")
	t.Logf("converged %.1f s after the network was back", time.Since(back).Seconds())
	sameInCloud(t, p, account, "repo")
	sameInCloud(t, p, account, "copied")
	require.Equal(t, readFile(t, p.Point, "letter.txt"), account.ReadFile(handleOf(t, account, "letter.txt")))
	require.True(t, rightOrEIO(t, filepath.Join(p.Point, "far"), far), "what couldn't be read can be now")
}

// work is what people do: commit, copy, save in the ways of editors, read what is pinned. All of it must exit 0.
func work(t *testing.T, p *program.Program, pinned []byte, n int) {
	t.Helper()
	p.Shell(fmt.Sprintf(`mkdir -p %[1]q && echo %[2]d >%[1]q/%[2]d && rsync -a %[1]q/ copied/
		(cd repo && echo %[2]d >>f && git commit -qam %[2]d && git fsck --strict 2>/dev/null)
		echo "draft %[2]d" >letter.txt
		echo "saved %[2]d" >.letter.tmp && mv .letter.tmp letter.txt
		sed -i s/saved/edited/ letter.txt && grep -q "edited %[2]d" letter.txt
		mv letter.txt letter.txt~ && echo "edited again %[2]d" >letter.txt && rm letter.txt~`,
		filepath.Join(p.Dir, "source"), n))
	require.Equal(t, pinned, readFile(t, p.Point, "pinned/f"))
}

// offlineSince is what status says.
func offlineSince(p *program.Program) *time.Time {
	st := p.Statuses()
	if len(st) != 1 {
		return nil
	}
	return st[0].Offline
}
