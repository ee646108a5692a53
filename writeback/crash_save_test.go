package writeback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// savedFiles are saved as git saves its index: a lock beside it is made, written, closed, and renamed over it.
var savedFiles = []string{"index", "HEAD", "ref"}

// saveForever says each content once the rename is done, while all is flushed all the time, and so in the middle of a
// save too.
func saveForever(ctx context.Context, e *Engine, seed uint64) error {
	failed := make(chan error)
	for i, name := range savedFiles {
		go func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for n := 1; ; n++ {
				content := savedContent(seed, n, rnd.IntN(3))
				if err := saveOver(ctx, e, name, content, rnd); err != nil {
					failed <- fmt.Errorf("saving %s: %w", name, err)
					return
				}
				fmt.Println(name, content)
			}
		}()
	}
	go func() {
		for {
			if err := e.Flush(ctx, 0); err != nil {
				failed <- fmt.Errorf("flushing: %w", err)
				return
			}
		}
	}()
	return <-failed
}

func savedContent(seed uint64, n, length int) string {
	return fmt.Sprintf("%08d-%08d%s", seed, n, strings.Repeat("x", 300*length))
}

func saveOver(ctx context.Context, e *Engine, name, content string, rnd *rand.Rand) error {
	lock := name + ".lock"
	_, f, err := e.CreateOpen(ctx, tree.DriveIno, lock, 0o644, true)
	if errors.Is(err, tree.ErrExist) { // left by a kill
		if err := e.Unlink(ctx, tree.DriveIno, lock); err != nil {
			return err
		}
		_, f, err = e.CreateOpen(ctx, tree.DriveIno, lock, 0o644, true)
	}
	if err != nil {
		return err
	}
	pause := func() { time.Sleep(time.Duration(rnd.IntN(4)) * time.Millisecond) } // for what goes on beside
	pause()
	if _, err = f.WriteAt(ctx, []byte(content), 0); err == nil {
		pause()
		err = f.Flush(ctx)
	}
	if rnd.IntN(2) == 0 {
		f.Release()
	} else {
		go f.Release() // as a kernel does
	}
	if err != nil {
		return err
	}
	pause()
	return e.Rename(ctx, tree.DriveIno, lock, tree.DriveIno, name, false)
}

// What was saved is there after each of many kills, at once and while the packets of what was sent before come in, and
// never something older.
func TestSavesSurviveKills(t *testing.T) {
	kills := killsOr(300)
	r := newRigFor(t, time.Hour, settleNever)
	r.stop()
	rnd := testRandom()
	saved := map[string]string{}
	for i := range kills {
		if i%2 == 1 {
			r.server.Faults().FailPoll(int(megaclient.EAGAIN), megatest.Always)
		}
		r.killEventually(rnd, crashJob{Seed: uint64(i + 1), Save: true, early: i%4 == 3}, func(line []byte) {
			if name, text, ok := strings.Cut(string(line), " "); ok {
				saved[name] = text
			}
		})
		r.server.Faults().Clear()
		r.server.Faults().SlicePackets(1)
		r.open()
		r.checkSaved(saved)
		if i%4 == 3 {
			r.run()
			done := make(chan struct{})
			go func() {
				defer close(done)
				r.flush()
				r.caughtUp()
			}()
			for catching := true; catching; {
				select {
				case <-done:
					catching = false
				default:
				}
				r.checkSaved(saved)
			}
			cloud := r.cloud()
			for name, content := range saved {
				require.Equal(t, content, cloud[name], "in the cloud")
			}
			for name := range cloud {
				require.NotContains(t, name, "(conflict ", "nobody else writes here")
			}
			r.stop()
		} else {
			r.crash()
		}
	}
	require.NotEmpty(t, saved)
}

// checkSaved compares the files with what was saved. A rename may have come beyond, which is what counts from now on.
func (r *rig) checkSaved(saved map[string]string) {
	r.Helper()
	for _, name := range savedFiles {
		text, err := r.tryRead(name)
		if errors.Is(err, tree.ErrNotFound) && saved[name] == "" {
			continue
		}
		require.NoError(r, err, name)
		require.GreaterOrEqual(r, text, saved[name], "%s is older than what was saved", name)
		saved[name] = text
	}
}
