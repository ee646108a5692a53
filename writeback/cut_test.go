package writeback

import (
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// A process that dies between a program's O_TRUNC and its commit, while what the file holds is made a node, has cut
// off nothing: afterwards the file is what the cloud has. It was zeros.
func TestKilledBeforeACutIsCommitted(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "content")
	storing := r.server.Faults().HoldUploads(0)
	defer storing()
	flushed := make(chan error, 1)
	go func(e *Engine) { flushed <- e.Flush(r.ctx, 0) }(r.engine)
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held == 1 }))

	st, err := r.engine.pin(r.ino("f"))
	require.NoError(t, err)
	st.mu.Lock()
	require.NotNil(t, st.gen)
	st.cutLocked(0) // and what is staged is being synced
	st.mu.Unlock()
	making := r.server.Faults().Hold("p")
	defer making()
	storing()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Commands["p"] == 1 }))
	r.crash()
	require.Error(t, <-flushed)
	making()

	r.start()
	r.flush()
	r.caughtUp()
	require.Equal(t, "content", r.read("f"))
	require.Equal(t, map[string]string{"f": "content"}, r.cloud())
}

// A cut that can't be committed at once is made all the same when what was uploaded before is in the cloud.
func TestCutIsCommittedAfterTheUpload(t *testing.T) {
	const con = "con\x00\x00\x00\x00"
	r := newRig(t, settleNever)
	r.write("f", "content")
	making := r.server.Faults().Hold("p")
	defer making()
	flushed := make(chan error, 1)
	go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Commands["p"] == 1 }))

	st, err := r.engine.pin(r.ino("f"))
	require.NoError(t, err)
	st.mu.Lock()
	st.cutLocked(3)
	st.dirty, st.content = true, true // and it is as long as before
	st.mu.Unlock()
	making()
	require.NoError(t, <-flushed)
	require.Equal(t, con, r.read("f"))
	r.engine.unpin(st)
	r.flush()
	require.Equal(t, map[string]string{"f": con}, r.cloud())
	r.stop()
	r.start()
	require.Equal(t, con, r.read("f"))
}

// What is cut off, and committed, while what was uploaded is made a node doesn't come back with that: not when the file has
// become as long again, nor when the process dies before the answer.
func TestCutWhileTheNodeIsMade(t *testing.T) {
	const con = "con\x00\x00\x00\x00"
	for name, dies := range map[string]bool{"answered": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, settleNever)
			r.write("f", "content")
			making := r.server.Faults().Hold("p")
			defer making()
			flushed := make(chan error, 1)
			go func(e *Engine) { flushed <- e.Flush(r.ctx, 0) }(r.engine)
			require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Commands["p"] == 1 }))
			for _, size := range []int64{3, 7} {
				_, err := r.engine.SetAttr(r.ctx, r.ino("f"), Attr{Size: &size})
				require.NoError(t, err)
			}
			if dies {
				r.crash()
				require.Error(t, <-flushed)
				making()
				r.start()
			} else {
				making()
				require.NoError(t, <-flushed)
			}
			require.Equal(t, con, r.read("f"))
			r.flush()
			r.caughtUp()
			require.Equal(t, con, r.read("f"))
			require.Equal(t, map[string]string{"f": con}, r.cloud())
		})
	}
}
