package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

func (r *rig) switchVersions(off string, want int32) {
	r.Helper()
	r.account.SetUserAttr("^!dv", off)
	r.eventually(func() bool { return r.engine.versions.Load() == want })
}

// save overwrites a file and gives the handle that it has then.
func (r *rig) save(name, content string) string {
	r.Helper()
	r.write(name, content)
	r.flush()
	return r.account.Find(name)
}

// versions waits until nothing is left to be removed, and compares what the
// cloud has of a file, the newest first.
func (r *rig) versions(name string, want ...string) {
	r.Helper()
	r.eventually(func() bool {
		r.engine.writeMu.Lock()
		defer r.engine.writeMu.Unlock()
		return len(r.engine.spent) == 0
	})
	require.Equal(r, want, r.account.Versions(r.account.Find(name)))
}

// Where the account keeps no versions, a version that ours has replaced goes, as
// the setting is at that moment.
func TestVersionsSwitchedOff(t *testing.T) {
	r := newRig(t, settleNever)
	h0 := r.save("file", "0")
	h1 := r.save("file", "1")
	r.versions("file", h1, h0)
	r.switchVersions("1", versionsOff)
	h2 := r.save("file", "2")
	r.versions("file", h2, h0)
	h3 := r.save("file", "3")
	r.versions("file", h3, h0)
	require.Equal(t, "3", r.read("file"))
	r.write("tmp", "4")
	r.rename("tmp", "file")
	r.flush()
	h4 := r.account.Find("file")
	r.versions("file", h4, h0)
	r.switchVersions("0", versionsKept)
	h5 := r.save("file", "5")
	r.versions("file", h5, h4, h0)
	require.Equal(t, map[string]string{"file": "5"}, r.cloud())
	require.Equal(t, "5", r.read("file"))
}

// The process may die at any moment in between.
func TestVersionsSwitchedOffAndACrash(t *testing.T) {
	for _, when := range []string{"before the answer", "before the packets", "before the removal"} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t, settleNever)
			r.switchVersions("1", versionsOff)
			r.save("file", "0")
			r.caughtUp()
			faults := r.server.Faults()
			switch when {
			case "before the answer":
				faults.DropAfter("p", 1)
				faults.FailPoll(-3, megatest.Always)
				r.write("file", "1")
				go func() { _ = r.engine.Flush(r.ctx, 0) }()
				require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Done["p"] == 2 }))
			case "before the packets":
				faults.FailPoll(-3, megatest.Always)
				r.save("file", "1")
			case "before the removal":
				defer faults.Hold("d")()
				r.save("file", "1")
				require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
			}
			r.crash()
			faults.Clear()
			r.start()
			r.flush()
			r.caughtUp()
			r.versions("file", r.account.Find("file"))
			require.Equal(t, map[string]string{"file": "1"}, r.cloud())
			require.Equal(t, "1", r.read("file"))
		})
	}
}

// What another client saves just before is never removed, nor what it replaced.
func TestVersionsSwitchedOffAndAnotherClient(t *testing.T) {
	r := newRig(t, settleNever)
	r.switchVersions("1", versionsOff)
	h0 := r.save("file", "0")
	r.caughtUp()
	release := r.server.Faults().Hold("p")
	r.write("file", "ours")
	flushed := make(chan error, 1)
	go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.account.SetUserAttr("^!dv", "0") // his client keeps versions
	theirs := r.account.PutVersion(h0, []byte("theirs"), time.Unix(1, 0))
	r.account.SetUserAttr("^!dv", "1")
	release()
	require.NoError(t, <-flushed)
	r.caughtUp()
	r.versions("file", r.account.Find("file"), theirs, h0)
}

// The bytes of a spent version may still be needed here.
func TestSpentVersionThatIsCopied(t *testing.T) {
	r := newRig(t, settleNever)
	r.switchVersions("1", versionsOff)
	needed := r.save("file", "0")
	r.caughtUp()
	r.cp("file", "copy")
	copied := r.ino("copy")
	r.write("file", "1")
	require.NoError(t, r.engine.Flush(r.ctx, r.ino("file")))
	r.caughtUp()
	require.True(t, r.engine.queue.has(copied))
	remove, _, err := r.engine.spendable()
	require.NoError(t, err)
	require.Empty(t, remove)
	require.True(t, r.account.Exists(needed))
	r.flush()
	r.caughtUp()
	r.versions("file", r.account.Find("file"))
	require.Equal(t, map[string]string{"file": "1", "copy": "0"}, r.cloud())
}

// While it isn't known what a change that is to be sent needs, none is removed.
func TestSpentVersionsStayWhileARowCantBeRead(t *testing.T) {
	r := newRig(t, settleNever)
	r.switchVersions("1", versionsOff)
	r.save("file", "0")
	r.caughtUp()
	r.cp("file", "copy")
	r.write("file", "1")
	require.NoError(t, r.engine.Flush(r.ctx, r.ino("file")))
	r.caughtUp()
	r.scribbled(r.ino("copy"), func() {
		remove, _, err := r.engine.spendable()
		require.ErrorIs(t, err, tree.ErrCorrupt)
		require.Empty(t, remove)
	})
	r.flush()
	r.versions("file", r.account.Find("file"))
	require.Equal(t, map[string]string{"file": "1", "copy": "0"}, r.cloud())
}

// Of the versions that are made while a file is open, the last is kept.
func TestOneVersionASession(t *testing.T) {
	r := newRig(t, settleNever)
	before := r.save("file", "0")
	f, err := r.engine.Open(r.ctx, r.ino("file"), true, false)
	require.NoError(t, err)
	put := func(text string) {
		_, err := f.WriteAt(r.ctx, []byte(text), 0)
		require.NoError(t, err)
	}
	var last string
	for _, text := range []string{"1", "2", "3"} {
		put(text)
		r.flush()
		last = r.account.Find("file")
		r.caughtUp()
		r.versions("file", last, before)
	}
	put("4")
	require.NoError(t, f.Flush(r.ctx))
	f.Release()
	r.flush()
	last = r.account.Find("file")
	r.versions("file", last, before)
	next := r.save("file", "next")
	r.versions("file", next, last, before)
	require.Equal(t, "next", r.read("file"))
}

// Restoring a version keeps what was there as one, also of a file that is open, as one is for a moment after its close.
func TestRestoringKeepsAVersionOfTheSession(t *testing.T) {
	r := newRig(t, settleNever)
	first := r.save("file", "first")
	f, err := r.engine.Open(r.ctx, r.ino("file"), true, false)
	require.NoError(t, err)
	defer f.Release()
	_, err = f.WriteAt(r.ctx, []byte("again"), 0)
	require.NoError(t, err)
	r.flush()
	again := r.account.Find("file")
	require.NoError(t, r.engine.RestoreVersion(r.ctx, r.ino("file"), megaclient.Handle(first)))
	r.flush()
	r.caughtUp()
	r.versions("file", r.account.Find("file"), again, first)
	require.Equal(t, "first", r.read("file"))
}

// A session that ended with nothing new leaves its version; the next one doesn't
// thin it, and neither does a session that was cut short.
func TestVersionsOfOtherSessionsStay(t *testing.T) {
	r := newRig(t, settleNever)
	var all []string
	open := func() *File {
		f, err := r.engine.Open(r.ctx, r.ino("file"), true, false)
		require.NoError(t, err)
		return f
	}
	all = append(all, r.save("file", "0"))
	write := func(f *File, text string) {
		_, err := f.WriteAt(r.ctx, []byte(text), 0)
		require.NoError(t, err)
		r.flush()
		all = append([]string{r.account.Find("file")}, all...)
	}
	f := open()
	write(f, "1")
	f.Release()
	f = open()
	write(f, "2")
	f.Release()
	all = append([]string{r.save("file", "3")}, all...)
	f = open()
	write(f, "4")
	r.crash()
	r.start()
	f = open()
	write(f, "5")
	f.Release()
	r.caughtUp()
	r.versions("file", all...)
}

// Somebody else's version between two of one session: all stay.
func TestSessionCrossedByAnotherClient(t *testing.T) {
	r := newRig(t, settleNever)
	before := r.save("file", "0")
	f, err := r.engine.Open(r.ctx, r.ino("file"), true, false)
	require.NoError(t, err)
	defer f.Release()
	_, err = f.WriteAt(r.ctx, []byte("1"), 0)
	require.NoError(t, err)
	r.flush()
	ours := r.account.Find("file")
	r.caughtUp()
	release := r.server.Faults().Hold("p")
	_, err = f.WriteAt(r.ctx, []byte("2"), 0)
	require.NoError(t, err)
	flushed := make(chan error, 1)
	go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	theirs := r.account.PutVersion(ours, []byte("theirs"), time.Unix(1, 0))
	release()
	require.NoError(t, <-flushed)
	r.caughtUp()
	r.versions("file", r.account.Find("file"), theirs, ours, before)
}

// TestInterruptedFilesAreNamed: what was stored while it was being written, and neither closed nor synced when the process
// died, is named by the next start and not by the one after.
func TestInterruptedFilesAreNamed(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("d")
	for _, name := range []string{"closed", "synced", "open", "gone"} {
		_, f, err := r.engine.CreateOpen(r.ctx, r.ino("d"), name, 0o600, true)
		require.NoError(t, err)
		_, err = f.WriteAt(r.ctx, []byte("half of it"), 0)
		require.NoError(t, err)
		require.NoError(t, r.engine.commitAll(r.ctx))
		switch name {
		case "closed":
			require.NoError(t, f.Flush(r.ctx))
			f.Release()
		case "synced":
			require.NoError(t, f.Fsync(r.ctx))
		}
	}
	require.Empty(t, r.engine.Status().Interrupted)
	r.crash()
	r.start()
	require.Equal(t, []InterruptedFile{{"/d/open", 10}, {"/d/gone", 10}}, r.engine.Status().Interrupted)
	r.unlink("d/gone")
	r.flush()
	require.Equal(t, []InterruptedFile{{"/d/open", 10}}, r.engine.Status().Interrupted, "also when it is in the cloud")
	require.Equal(t, "half of it", r.cloud()["d/open"])
	r.crash()
	r.start()
	require.Empty(t, r.engine.Status().Interrupted)
}

// What was being written when the process died may be half a file: where no
// versions are kept, the one that it replaces is kept all the same.
func TestCutShortWithoutVersions(t *testing.T) {
	r := newRig(t, settleNever)
	r.switchVersions("1", versionsOff)
	before := r.save("file", "whole")
	r.caughtUp()
	f, err := r.engine.Open(r.ctx, r.ino("file"), true, true)
	require.NoError(t, err)
	_, err = f.WriteAt(r.ctx, []byte("ha"), 0)
	require.NoError(t, err)
	require.NoError(t, r.engine.commitAll(r.ctx))
	r.crash()
	r.start()
	r.flush()
	r.caughtUp()
	r.versions("file", r.account.Find("file"), before)
	require.Equal(t, map[string]string{"file": "ha"}, r.cloud())
	r.eventually(func() bool { return r.engine.versions.Load() == versionsOff })
	last := r.save("file", "whole again")
	r.caughtUp()
	r.versions("file", last, before)
}
