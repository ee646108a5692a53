package writeback

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// TestALongJournalCostsWhatItIsLong: planning, Status and Flush look at what
// changed, not at what is pending, and requests are shared. WRITEBACK_FILES
// makes it that many files, and prints the rate of each part.
func TestALongJournalCostsWhatItIsLong(t *testing.T) {
	files, limit := 2000, rigLimit
	if s := os.Getenv("WRITEBACK_FILES"); s != "" {
		files, _ = strconv.Atoi(s)
		limit = time.Hour
	}
	r := newRigFor(t, limit, settleNever)
	const perDir = 500
	for i := range files {
		dir := fmt.Sprintf("d%d", i/perDir)
		if i%perDir == 0 {
			r.mkdir(dir)
		}
		r.write(fmt.Sprintf("%s/f%d", dir, i), fmt.Sprint(i))
	}
	s := r.engine.Status()
	require.Equal(t, files+(files+perDir-1)/perDir, s.PendingCount)
	require.LessOrEqual(t, len(s.Pending), statusListed)
	before := r.server.Stats()
	ctx, flushed := context.WithCancel(r.ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		last, left := time.Now(), files
		_ = r.server.Await(ctx, func(megatest.Stats) bool {
			if n := r.engine.queue.len(); left-n >= files/10 {
				t.Logf("%d left: %.0f files/s", n, float64(left-n)/time.Since(last).Seconds())
				last, left = time.Now(), n
			}
			return false
		})
	})
	r.flush()
	flushed()
	watch.Wait()
	after := r.server.Stats()
	require.Len(t, r.cloud(), s.PendingCount)
	r.engine.planner.mu.Lock()
	decided := r.engine.planner.decided
	r.engine.planner.mu.Unlock()
	require.Less(t, decided, 15*files)
	require.Less(t, float64(after.Batches-before.Batches), 0.2*float64(files))
	require.Zero(t, r.engine.Status().PendingBytes)
}

// TestRemovalsOfManyFolders: each folder that goes to the bin
// takes what is below it, and nothing else is looked at.
func TestRemovalsOfManyFolders(t *testing.T) {
	r := newRig(t, settleNever)
	const dirs, each = 40, 10
	for i := range dirs {
		r.mkdir(fmt.Sprint(i))
		for k := range each {
			r.write(fmt.Sprintf("%d/%d", i, k), "x")
		}
	}
	r.flush()
	moved := r.sent("m")
	for i := range dirs {
		for k := range each {
			r.unlink(fmt.Sprintf("%d/%d", i, k))
		}
		r.rmdir(fmt.Sprint(i))
	}
	r.flush()
	require.Empty(t, r.cloud())
	require.Equal(t, dirs, r.sent("m")-moved)
	require.Zero(t, r.engine.queue.len())
	r.eventually(func() bool {
		p := &r.engine.planner
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.seen)+len(p.gone)+len(p.wanted)+len(p.waits)+len(p.heirs)+len(p.removed)+len(p.leavers)+len(p.blocked) == 0
	})
}

// TestRefusedChangesAreAlwaysListed, however many others wait.
func TestRefusedChangesAreAlwaysListed(t *testing.T) {
	r := newRig(t, settleNever)
	for i := range statusListed + 50 {
		r.write(fmt.Sprint("waits", i), "x")
	}
	r.write("refused", "x")
	r.server.Faults().FailCommand("p", -17, 1)
	require.Error(t, r.engine.Flush(r.ctx, r.ino("refused")))
	s := r.engine.Status()
	require.Equal(t, 1, s.RefusedCount)
	require.Equal(t, statusListed+51, s.PendingCount)
	require.Equal(t, "/refused", s.Pending[0].Path)
	require.NotEmpty(t, s.Pending[0].Reason)
	require.Len(t, s.Pending, statusListed+1)
}
