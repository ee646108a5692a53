package writeback

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// A Flush waits for what was there when it began, not for what is written
// meanwhile.
func TestFlushDoesNotWaitForWhatCameLater(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("file", "before")
	r.write("gone", "before")
	release := r.server.Faults().Hold("p")
	flushed := make(chan error, 1)
	go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.write("file", "later")
	r.write("other", "later")
	release()
	require.NoError(t, <-flushed)
	require.Equal(t, map[string]string{"file": "before", "gone": "before"}, r.cloud())
	r.flush()
	require.Equal(t, map[string]string{"file": "later", "gone": "before", "other": "later"}, r.cloud())
}

// What a Flush waits for may itself wait for a folder that was moved, or made,
// after the Flush began: that goes at once too.
func TestFlushWaitsForAFolderMadeLater(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("file", "content")
	release := r.server.Faults().Hold("u")
	flushed := make(chan error, 1)
	go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.mkdir("new")
	r.rename("file", "new/file")
	release()
	require.NoError(t, <-flushed)
	require.Equal(t, map[string]string{"new": "/", "new/file": "content"}, r.cloud())
}

// A file that is renamed all the time doesn't keep a Flush from ending: where it
// was when that began is sent.
func TestFlushEndsAmongRenames(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("dir")
	r.write("0", "content")
	r.flush()
	at, n := "0", 0
	rename := func() {
		n++
		to := fmt.Sprint(n)
		if n%2 == 1 {
			to = "dir/" + to
		}
		r.rename(at, to)
		at = to
	}
	rename()
	var mu sync.Mutex
	r.server.OnCommand(func(name string, _ json.RawMessage) {
		mu.Lock()
		defer mu.Unlock()
		if name == "a" || name == "m" { // before it is executed, the file is somewhere else again
			rename()
		}
	})
	r.flush()
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 3, n, "one a and one m were enough")
	require.Equal(t, map[string]string{"dir": "/", "dir/1": "content"}, r.cloud())
}

// A Flush that comes while the planner looks at the tree as it was in the
// middle of an rm -r doesn't send what it sees one by one.
func TestFlushInTheMiddleOfALook(t *testing.T) {
	r := newRig(t, settleNever)
	top := r.account.Mkdir(r.account.Root(), "top")
	for i := range 40 {
		r.account.PutFile(top, fmt.Sprint(i), []byte("x"), time.Unix(1, 0))
	}
	r.caughtUp()
	r.stop()
	r.open() // nobody plans but the test
	defer r.stop()
	for i := range 20 {
		r.unlink(fmt.Sprintf("top/%d", i))
	}
	p := &r.engine.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	look := func(between func()) (steps int) {
		marks, clock := r.engine.queue.takeMarks()
		err := r.engine.Tree().View(func(tx *tree.Tx) error {
			_, err := tx.Get(tree.DriveIno) // the view is of now
			require.NoError(t, err)
			between()
			s := newSurvey(p, tx, time.Now())
			s.clock = clock
			p.look(s, marks, s.now)
			steps = len(p.take(s, &p.orders, 1000, false))
			return nil
		})
		require.NoError(t, err)
		return steps
	}
	var c *claims
	require.Zero(t, look(func() {
		for i := 20; i < 40; i++ {
			r.unlink(fmt.Sprintf("top/%d", i))
		}
		r.rmdir("top")
		c = r.engine.claim(0)
	}))
	require.Equal(t, 1, look(func() {}), "the folder, with all that was in it")
	r.engine.unclaim(c)
}

// With FsyncCloud fsync returns when the cloud has it; without, nothing is
// sent for it.
func TestFsyncWaitsForTheCloud(t *testing.T) {
	r := newRig(t, func(o *Options) { settleNever(o); o.FsyncCloud = true })
	f := r.create("file")
	defer f.Release()
	_, err := f.WriteAt(r.ctx, []byte("content"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Fsync(r.ctx))
	require.Equal(t, map[string]string{"file": "content"}, r.cloud())
	r.mkdir("dir")
	r.rename("file", "dir/file")
	require.NoError(t, r.engine.SyncDir(r.ctx, r.ino("dir")))
	require.Equal(t, map[string]string{"dir": "/", "dir/file": "content"}, r.cloud())
	r.unlink("dir/file")
	_, err = f.WriteAt(r.ctx, []byte("unlinked"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Fsync(r.ctx), "what was unlinked has nothing to wait for")
}
