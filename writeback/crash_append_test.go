package writeback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// appendLog is a file to which several append, each line with an open and a
// close of its own. The lock is the kernel's, held for a write.
type appendLog struct {
	name string
	mu   sync.Mutex
}

// appendForever says each line once close has acknowledged it.
func appendForever(ctx context.Context, e *Engine, seed uint64) error {
	logs := []*appendLog{{name: "log0"}, {name: "log1"}}
	failed := make(chan error)
	for writer := range 4 {
		go func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(writer)))
			for i := 0; ; i++ {
				line := fmt.Sprintf("%d-%d-%d", seed, writer, i)
				l := logs[rnd.IntN(len(logs))]
				if err := l.append(ctx, e, line+"\n"); err != nil {
					failed <- err
					return
				}
				fmt.Println(l.name, line)
			}
		}()
	}
	return <-failed
}

func (l *appendLog) append(ctx context.Context, e *Engine, line string) error {
	f, err := l.open(ctx, e)
	if err != nil {
		return err
	}
	defer f.Release()
	if err := l.write(ctx, f, line); err != nil {
		return err
	}
	return f.Flush(ctx)
}

func (l *appendLog) write(ctx context.Context, f *File, line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	in, err := f.Inode()
	if err == nil {
		_, err = f.WriteAt(ctx, []byte(line), in.Size)
	}
	return err
}

func (l *appendLog) open(ctx context.Context, e *Engine) (*File, error) {
	in, err := e.Tree().Lookup(tree.DriveIno, l.name)
	if err == nil {
		return e.Open(ctx, in.Ino, true, false)
	}
	_, f, err := e.CreateOpen(ctx, tree.DriveIno, l.name, 0o644, true)
	if errors.Is(err, tree.ErrExist) {
		return l.open(ctx, e)
	}
	return f, err
}

// What close acknowledged is there after each of many kills, whole and once,
// also while uploads and their packets come in between, some of them late.
func TestAppendsSurviveKills(t *testing.T) {
	kills := killsOr(300)
	r := newRigFor(t, time.Hour, settleNever)
	r.stop()
	rnd := testRandom()
	lines := map[string]map[string]bool{"log0": {}, "log1": {}}
	all := 0
	for i := range kills {
		if i%3 == 1 {
			r.server.Faults().FailPoll(int(megaclient.EAGAIN), megatest.Always)
		}
		r.server.Faults().SlicePackets(1)
		r.killEventually(rnd, crashJob{Seed: uint64(i), Append: true, early: i%4 == 3}, func(line []byte) {
			if name, text, ok := strings.Cut(string(line), " "); ok && lines[name] != nil && !lines[name][text] {
				lines[name][text] = true
				all++
			}
		})
		r.server.Faults().Clear()
		r.open()
		for name, acknowledged := range lines {
			r.checkLog(name, acknowledged)
		}
		r.crash()
	}
	t.Logf("%d lines in %d kills", all, kills)
	require.NotZero(t, all)
	r.start()
	r.flush()
	r.caughtUp()
	require.Len(t, r.account.Tree(), 2)
}

// checkLog compares a log with the lines that were acknowledged. One of each
// writer may have come beyond.
func (r *rig) checkLog(name string, acknowledged map[string]bool) {
	r.Helper()
	text, err := r.tryRead(name)
	if errors.Is(err, tree.ErrNotFound) && len(acknowledged) == 0 {
		return
	}
	require.NoError(r, err, name)
	have := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		require.False(r, have[line], "%s: line %s is there twice", name, line)
		have[line] = true
	}
	for line := range acknowledged {
		require.True(r, have[line], "%s: line %s is gone", name, line)
	}
	for line := range have {
		acknowledged[line] = true
	}
}
