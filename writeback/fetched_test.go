package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
)

// While what comes before the removal of a folder is waited for, the answer is there and not written down. When a full fetch
// tells of all that, it tells of what others did afterwards too: it is newer than the answer, and no packets of ours come any more.
func TestFullFetchBetweenAnAnswerAndItsAcknowledgement(t *testing.T) {
	r := newRig(t, func(o *Options) { settleNever(o); o.Timings.EchoGrace = never })
	root := r.account.Root()
	handles := map[string]string{}
	for _, p := range []string{"renamed", "moved", "kept", "gone", "taken", "returned"} {
		handles[p] = r.account.PutFile(root, p, []byte("the content of "+p), time.Time{})
	}
	d, e := r.account.Mkdir(root, "d"), r.account.Mkdir(root, "e")
	r.account.Mkdir(root, "folder")
	r.caughtUp()
	f := r.server.Faults()
	f.FailPoll(int(megaclient.EAGAIN), megatest.Always)
	r.rmdir("folder")
	r.rename("renamed", "renamed here")
	r.rename("moved", "d/moved")
	r.rename("kept", "d/kept")
	for _, p := range []string{"gone", "taken", "returned"} {
		r.unlink(p)
	}
	for _, p := range []string{"made", "made and removed", "made and renamed"} {
		r.mkdir(p)
	}
	flushed := make(chan error, 1)
	go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
	r.eventually(func() bool {
		done := r.account.Find("folder") == "" && r.account.Find("renamed here") != "" && r.account.Find("d/moved") != "" && r.account.Find("d/kept") != ""
		for _, p := range []string{"gone", "taken", "returned"} {
			done = done && r.account.InRubbish(handles[p])
		}
		for _, p := range []string{"made", "made and removed", "made and renamed"} {
			done = done && r.account.Find(p) != ""
		}
		return done
	})
	r.account.Rename(handles["renamed"], "renamed there")
	r.account.Move(handles["moved"], e)
	r.account.Move(handles["taken"], d)
	r.account.Move(handles["returned"], root)
	r.account.Remove(r.account.Find("made and removed"))
	r.account.Rename(r.account.Find("made and renamed"), "renamed twice")
	f.ForgetPackets()
	f.Clear()
	require.NoError(t, <-flushed)
	r.caughtUp()
	r.flush()
	want := map[string]string{
		"d": "/", "e": "/", "renamed there": "the content of renamed", "e/moved": "the content of moved", "d/kept": "the content of kept",
		"d/taken": "the content of taken", "returned": "the content of returned",
		"made": "/", "made and removed": "/", "renamed twice": "/", // what was removed for good is made anew, as after any answer that comes late
	}
	view, err := r.view()
	require.NoError(t, err)
	require.Equal(t, r.cloud(), view)
	require.Equal(t, want, view)
	require.True(t, r.account.InRubbish(handles["gone"]))
	require.Empty(t, r.engine.Status().Pending)
}
