package writeback

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

func permanent(o *Options) {
	settleNever(o)
	o.PermanentDelete = true
}

// drained waits until nothing differs and nothing is left to be deleted.
func (r *rig) drained() {
	r.Helper()
	r.caughtUp() // our own packet makes the deletion ours
	r.eventually(r.nothingLeft)
}

// nothingLeft says that nothing differs and that nothing of ours is left to be deleted.
func (r *rig) nothingLeft() bool {
	r.engine.writeMu.Lock()
	defer r.engine.writeMu.Unlock()
	for _, at := range r.engine.dooms {
		if at.moved { // else it isn't ours to delete
			return false
		}
	}
	return r.engine.queue.len() == 0
}

// tree makes a folder with files and a folder in it, as another client.
func (r *rig) tree(name string) (all map[string]string) {
	all = map[string]string{name: r.account.Mkdir(r.account.Root(), name)}
	all[name+"/sub"] = r.account.Mkdir(all[name], "sub")
	for i := range 3 {
		all[fmt.Sprintf("%s/%d", name, i)] = r.account.PutFile(all[name], fmt.Sprint(i), []byte("x"), time.Unix(1, 0))
		all[fmt.Sprintf("%s/sub/%d", name, i)] = r.account.PutFile(all[name+"/sub"], fmt.Sprint(i), []byte("x"), time.Unix(1, 0))
	}
	r.caughtUp()
	return all
}

// rm removes such a tree here.
func (r *rig) rm(name string) {
	for i := range 3 {
		r.unlink(fmt.Sprintf("%s/sub/%d", name, i))
		r.unlink(fmt.Sprintf("%s/%d", name, i))
	}
	r.rmdir(name + "/sub")
	r.rmdir(name)
}

// A whole tree goes to the bin in one move, and is then deleted from the
// leaves up.
func TestPermanentDeletionOfATree(t *testing.T) {
	r := newRig(t, permanent)
	all := r.tree("top")
	r.rm("top")
	r.flush()
	r.drained()
	for p, h := range all {
		require.False(t, r.account.Exists(h), p)
	}
	require.Equal(t, 1, r.sent("m"))
	require.Equal(t, len(all), r.sent("d"), "node by node")
	require.Empty(t, r.account.TreeBelow(r.account.Rubbish()))
}

// What somebody else put into the folder, before our move or after it, stays
// in the bin, and so do the folders that it lies in.
func TestPermanentDeletionSparesWhatOthersPutThere(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t, permanent)
			all := r.tree("top")
			r.rm("top")
			var theirs string
			put := func() { theirs = r.account.PutFile(all["top/sub"], "theirs", []byte("theirs"), time.Unix(1, 0)) }
			release := r.server.Faults().Hold(map[string]string{"before": "m", "after": "d"}[when])
			flushed := make(chan error, 1)
			go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
			require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
			put()
			release()
			require.NoError(t, <-flushed)
			r.caughtUp()
			require.Equal(t, []byte("theirs"), r.account.ReadFile(theirs))
			if when == "after" { // it was put into the bin
				r.drained()
				require.True(t, r.account.Exists(all["top/sub"]))
				require.False(t, r.account.Exists(all["top/1"]))
				require.Empty(t, r.account.Tree())
				return
			}
			// It comes back with the folders around it, and what lay beside it is removed from them once more. That has yet
			// to settle, which it never does here: it is asked for.
			r.eventually(func() bool {
				require.NoError(t, r.engine.Flush(r.ctx, 0))
				_, back := r.account.Tree()["top/sub/theirs"]
				return back && r.quiet()
			})
			require.Equal(t, []byte("theirs"), r.account.ReadFile(theirs))
			require.ElementsMatch(t, []string{"top", "top/sub", "top/sub/theirs"}, slices.Collect(maps.Keys(r.account.Tree())))
		})
	}
}

// What somebody else moved to the bin while we were about to is his.
func TestPermanentDeletionSparesWhatOthersBin(t *testing.T) {
	r := newRig(t, permanent)
	h := r.account.PutFile(r.account.Root(), "file", []byte("x"), time.Unix(1, 0))
	r.caughtUp()
	r.unlink("file")
	release := r.server.Faults().Hold("m")
	flushed := make(chan error, 1)
	go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.account.Trash(h)
	release()
	require.NoError(t, <-flushed)
	r.caughtUp()
	r.eventually(func() bool { return r.engine.queue.len() == 0 })
	require.True(t, r.account.InRubbish(h))
	require.Zero(t, r.sent("d"))
}

// What was brought back from the bin isn't deleted, and neither when it is
// moved there once more by somebody else.
func TestPermanentDeletionSparesWhatCameBack(t *testing.T) {
	r := newRig(t, permanent)
	all := r.tree("top")
	f := r.create("open") // a reason to wait for: as long as it is open here, it isn't deleted
	r.flush()
	h := r.account.Find("open")
	r.unlink("open")
	r.rm("top")
	r.flush()
	r.eventually(func() bool { return !r.account.Exists(all["top"]) })
	require.True(t, r.account.InRubbish(h))
	r.account.Move(h, r.account.Root())
	r.caughtUp()
	r.account.Trash(h)
	r.caughtUp()
	f.Release()
	r.drained()
	require.True(t, r.account.InRubbish(h))
	r.stop()
	r.start()
	r.caughtUp()
	r.drained()
	require.True(t, r.account.InRubbish(h))
}

// The process may die at any moment in between: the rest is deleted later, and
// nothing else.
func TestPermanentDeletionAfterACrash(t *testing.T) {
	r := newRig(t, permanent)
	all := r.tree("top")
	other := r.account.PutFile(r.account.Root(), "other", []byte("x"), time.Unix(1, 0))
	r.caughtUp()
	r.rm("top")
	r.server.Faults().DropAfter("m", 1)
	release := r.server.Faults().Hold("d")
	flushed := make(chan error, 1)
	go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.account.Trash(other)
	r.crash()
	<-flushed
	release()
	r.start()
	r.drained()
	for p, h := range all {
		require.False(t, r.account.Exists(h), p)
	}
	require.True(t, r.account.InRubbish(other))
}

// A packet of ours that takes several transactions is ours to its end: all that went with the folder is deleted.
func TestPermanentDeletionOfALargeFolder(t *testing.T) {
	const files = nodesAtOnce + 200
	r := newRig(t, permanent)
	top := r.account.Mkdir(r.account.Root(), "top")
	for i := range files {
		r.account.Mkdir(top, fmt.Sprint(i))
	}
	r.caughtUp()
	for i := range files {
		r.rmdir(fmt.Sprintf("top/%d", i))
	}
	r.rmdir("top")
	_, err := r.engine.Approve(r.ctx) // so many at once are asked about
	require.NoError(t, err)
	r.flush()
	r.drained()
	require.Empty(t, r.account.TreeBelow(r.account.Rubbish()))
}
