package writeback

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
)

// cp copies a file as cp(1) does.
func (m *mount) cp(from, to string) {
	m.t.Helper()
	src, err := m.engine.Open(m.ctx, m.ino(from), false, false)
	require.NoError(m.t, err)
	defer src.Release()
	dst := m.create(to)
	defer dst.Release()
	for off := int64(0); ; {
		n, err := dst.CopyFrom(m.ctx, src, off, off, 1<<30)
		require.NoError(m.t, err)
		if n == 0 {
			break
		}
		off += n
	}
	require.NoError(m.t, dst.Flush(m.ctx))
}

func copyRig(t *testing.T, options func(*Options)) *rig {
	r := newRig(t, options)
	r.write("a", strings.Repeat("content ", 1000))
	r.flush()
	return r
}

func TestServerCopy(t *testing.T) {
	r := copyRig(t, settleNever)
	r.cp("a", "b")
	r.cp("a", "c")
	r.flush()
	require.Equal(t, 1, r.sent("u"))
	require.Equal(t, 3, r.sent("p"))
	want := strings.Repeat("content ", 1000)
	require.Equal(t, map[string]string{"a": want, "b": want, "c": want}, r.cloud())
	r.caughtUp()
	require.Equal(t, []string{"a", "b", "c"}, r.names("/"))
	require.NotEqual(t, r.stat("a").Cloud.Handle, r.stat("b").Cloud.Handle)
	require.Equal(t, r.stat("b").Cloud.Handle, r.stat("b").Base.Handle)
	require.NotEqual(t, r.stat("b").Cloud.Handle, r.stat("c").Cloud.Handle)
}

// A copy whose answer was lost is found again, by key, parent and name.
func TestServerCopyWithoutAnswer(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := copyRig(t, nil)
		r.server.Faults().DropAfter("p", 1)
		r.cp("a", "b")
		r.cp("a", "c")
		if restart {
			r.eventually(func() bool { return r.sent("p") > 1 })
			r.crash()
			r.start()
			require.NoError(t, r.engine.Ready(r.ctx))
		}
		r.flush()
		r.caughtUp()
		require.Equal(t, []string{"a", "b", "c"}, r.names("/"))
		require.Len(t, r.cloud(), 3)
		require.Equal(t, 1, r.sent("u"))
		require.Len(t, r.account.Tree(), 3, "nothing twice")
	}
}

// What the server won't copy is uploaded.
func TestServerCopyRefused(t *testing.T) {
	r := copyRig(t, settleNever)
	r.server.Faults().FailCommand("p", -9, 1)
	r.cp("a", "b")
	if err := r.engine.Flush(r.ctx, 0); err != nil {
		require.ErrorIs(t, err, megaclient.ENOENT)
	}
	r.eventually(func() bool { return r.engine.Flush(r.ctx, 0) == nil })
	require.Equal(t, strings.Repeat("content ", 1000), r.cloud()["b"])
	require.Equal(t, 2, r.sent("u"))
}

// The file that was copied is deleted for good only after the copy was made.
func TestCopiedFileIsDeletedLater(t *testing.T) {
	r := copyRig(t, func(o *Options) { settleNever(o); o.PermanentDelete = true })
	r.cp("a", "b")
	r.unlink("a")
	r.flush()
	require.Equal(t, map[string]string{"b": strings.Repeat("content ", 1000)}, r.cloud())
	require.Equal(t, 1, r.sent("u"))
}

// A copy takes the name of what it was copied from.
func TestCopyOverItsSource(t *testing.T) {
	r := copyRig(t, settleNever)
	r.cp("a", "b")
	r.rename("b", "a")
	r.flush()
	r.caughtUp()
	require.Equal(t, map[string]string{"a": strings.Repeat("content ", 1000)}, r.cloud())
	require.Equal(t, []string{"a"}, r.names("/"))
}

// Copies survive a crash before they went up, and the source's next version.
func TestCopyAfterACrash(t *testing.T) {
	r := copyRig(t, settleNever)
	r.cp("a", "b")
	r.write("a", "new")
	r.crash()
	r.start()
	require.NoError(t, r.engine.Ready(r.ctx))
	require.Equal(t, strings.Repeat("content ", 1000), r.read("b"))
	r.flush()
	require.Equal(t, map[string]string{"a": "new", "b": strings.Repeat("content ", 1000)}, r.cloud())
}

// Another client removes the copied file for good: what is here goes up.
func TestCopiedFileDeletedElsewhere(t *testing.T) {
	r := copyRig(t, settleNever)
	require.Equal(t, strings.Repeat("content ", 1000), r.read("a"))
	r.cp("a", "b")
	r.account.Remove(r.account.Find("a"))
	r.caughtUp()
	require.Equal(t, strings.Repeat("content ", 1000), r.read("b"))
	r.flush()
	require.Equal(t, map[string]string{"b": strings.Repeat("content ", 1000)}, r.cloud())
}
