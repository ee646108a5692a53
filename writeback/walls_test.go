package writeback

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// A full account stops content and nothing else; it is asked once for all of
// it, programs are told, and Retry makes it go on.
func TestFullAccount(t *testing.T) {
	r := newRig(t, settleNever)
	r.account.PutFile(r.account.Root(), "old", []byte("0123456789"), time.Time{})
	r.caughtUp()
	r.account.SetQuota(r.account.Used())
	for i := range 100 {
		r.write(fmt.Sprint(i), "content")
	}
	r.mkdir("folder")
	r.rename("old", "folder/new")
	err := r.engine.Flush(r.ctx, 0)
	require.ErrorIs(t, err, ErrFull)
	require.ErrorIs(t, err, megaclient.EOVERQUOTA)
	require.Equal(t, map[string]string{"folder": "/", "folder/new": "0123456789"}, r.cloud())
	status := r.engine.Status()
	require.Equal(t, 100, status.RefusedCount)
	require.Contains(t, status.Pending[99].Reason, "full")
	require.Len(t, status.Walls, 1)

	asked := r.sent("u")
	require.LessOrEqual(t, asked, 100)
	require.ErrorIs(t, r.engine.Flush(r.ctx, 0), ErrFull)
	require.Equal(t, asked, r.sent("u"), "it isn't asked again")
	require.ErrorIs(t, r.tryWrite("another", "content"), ErrFull)
	r.mkdir("folder/more")

	r.account.SetQuota(1 << 30)
	r.engine.Retry()
	r.flush()
	require.Len(t, r.cloud(), 103)
	require.Empty(t, r.engine.Status().Walls)
	r.write("another", "content")
}

// Room that somebody makes is noticed.
func TestRoomIsMade(t *testing.T) {
	r := newRig(t, func(o *Options) { settleNever(o); o.Timings.QuotaInterval = time.Millisecond })
	big := r.account.PutFile(r.account.Root(), "big", make([]byte, 100_000), time.Time{})
	r.caughtUp()
	r.account.SetQuota(r.account.Used() + 10)
	r.write("small", "fits")
	r.write("large", "this doesn't fit any more")
	require.ErrorIs(t, r.engine.Flush(r.ctx, 0), ErrFull)
	require.Equal(t, "fits", r.cloud()["small"], "a smaller file had room")
	r.eventually(func() bool { return r.engine.status.free() >= 0 })
	r.account.Remove(big)
	r.eventually(func() bool { return r.engine.Flush(r.ctx, 0) == nil })
	require.Equal(t, map[string]string{"small": "fits", "large": "this doesn't fit any more"}, r.cloud())
}

// A share that turns out to be read-only stops what is in it, and nothing
// else.
func TestShareThatBecameReadOnly(t *testing.T) {
	r := newRig(t, settleNever)
	friend := r.server.AddAccount("friend@example.org", testPassword, megatest.V1())
	folder := friend.Mkdir(friend.Root(), "shared")
	friend.Share(folder, r.account, 2)
	var share tree.Ino
	r.eventually(func() bool {
		list, err := r.engine.Tree().ReadDir(tree.SharesIno, "", 10)
		if err != nil || len(list) != 1 || r.engine.Tree().View(func(tx *tree.Tx) error { return tx.MayCreate(list[0].Ino) }) != nil {
			return false
		}
		share = list[0].Ino
		return true
	})
	_, err := r.engine.Mkdir(r.ctx, share, "d", 0o755)
	require.NoError(t, err)
	r.write("mine", "mine")
	r.server.Faults().FailCommand("p", int(megaclient.EACCESS), 1)
	require.Error(t, r.engine.Flush(r.ctx, share))
	_, err = r.engine.Mkdir(r.ctx, share, "e", 0o755)
	require.ErrorIs(t, err, ErrCloudReadOnly)
	require.ErrorIs(t, r.engine.Flush(r.ctx, 0), ErrCloudReadOnly)
	require.Equal(t, map[string]string{"mine": "mine"}, r.cloud())
	r.engine.Retry()
	r.flush()
	require.Contains(t, friend.Tree(), "shared/d")
}

// While the account is blocked nothing is asked, and whoever flushes is told.
func TestBlockedAccount(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a", "A")
	r.account.Block(200)
	err := r.engine.Flush(r.ctx, 0)
	var blocked *megaclient.BlockedError
	require.ErrorAs(t, err, &blocked)
	require.Equal(t, 200, blocked.Reason)
	require.Contains(t, r.engine.Status().Blocked, "blocked")
	require.ErrorIs(t, r.tryWrite("b", "B"), ErrCloudReadOnly)
	require.Equal(t, "A", r.read("a")) // what needs no cloud goes on
	r.rename("a", "b")
	r.rename("b", "a")
	r.account.Block(0)
	r.eventually(func() bool { // an answer from before may still be on its way
		r.engine.Retry()
		return r.engine.Flush(r.ctx, 0) == nil
	})
	require.Equal(t, map[string]string{"a": "A"}, r.cloud())
}

// What passes by itself is waited for.
func TestPassingRefusals(t *testing.T) {
	r := newRig(t, settleNever)
	f := r.server.Faults()
	f.FailCommand("p", int(megaclient.EAGAIN), 1)
	f.FailCommand("p", int(megaclient.ERATELIMIT), 1)
	f.FailCommand("p", int(megaclient.ETOOMANY), 1)
	f.FailCommand("u", int(megaclient.ERATELIMIT), 2)
	f.FailBatch("p", int(megaclient.EAGAIN), 1)
	f.FailHTTP(megatest.API, 402, 1)
	f.FailHTTP(megatest.Uploads, 509, 1)
	f.FailHTTP(megatest.Uploads, 404, 1)
	for _, code := range []int{-3, -4, -5, -6, -8, -14} {
		f.FailUpload(code, 1)
	}
	r.mkdir("d")
	r.write("d/a", "A")
	r.write("b", "B")
	r.flush()
	require.Equal(t, map[string]string{"d": "/", "d/a": "A", "b": "B"}, r.cloud())
}

func TestPauseAndResume(t *testing.T) {
	r := newRig(t, nil)
	r.engine.Pause()
	r.write("a", "A")
	require.ErrorIs(t, r.engine.Flush(r.ctx, 0), ErrPaused)
	require.True(t, r.engine.Status().Paused)
	require.Empty(t, r.cloud())
	r.engine.Resume()
	r.flush()
	require.Equal(t, map[string]string{"a": "A"}, r.cloud())
}

// The answer about a file takes down the wall that it has passed, for which it asks the planner, who asks for files in
// turn: the file's own lock isn't held meanwhile.
func TestAnAnswerWaitsForThePlannerWithoutTheFile(t *testing.T) {
	r := newRig(t, settleNever)
	release := r.server.Faults().Hold("p")
	f := r.create("a")
	defer f.Release()
	_, err := f.WriteAt(r.ctx, []byte("A"), 0)
	require.NoError(t, err)
	go func() { _ = r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.engine.walls.put(wallKey{class: wallFull}, wall{why: ErrFull, until: time.Now().Add(never)})
	r.engine.planner.mu.Lock()
	defer r.engine.planner.mu.Unlock()
	release()
	r.eventually(func() bool { in, err := r.engine.Tree().Get(f.Ino()); return err == nil && in.Cloud != nil })
	looked := make(chan error, 1)
	go func() {
		_, err := f.Inode()
		looked <- err
	}()
	select {
	case err := <-looked:
		require.NoError(t, err)
	case <-r.ctx.Done():
		require.Fail(t, "the file stays locked")
	}
}
