package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The change time is a promise to programs: tar and rsync take a move of it for
// a change of the file. What the cloud does with what it was given moves none.
func TestChangeTimeStaysWhenTheCloudAcknowledges(t *testing.T) {
	r := newRig(t, settleNever)
	stat := func(p string) int64 {
		in, err := r.engine.Stat(r.ino(p))
		require.NoError(t, err)
		return in.Ctime
	}
	settles := func(what string, paths ...string) {
		t.Helper()
		before := map[string]int64{}
		for _, p := range paths {
			before[p] = stat(p)
		}
		r.flush()
		r.caughtUp()
		for _, p := range paths {
			require.Equal(t, before[p], stat(p), "%s: %s", what, p)
		}
	}
	r.mkdir("folder")
	r.write("file", "content")
	r.write("folder/file", "content")
	settles("created", "folder", "file", "folder/file")

	r.write("file", "other content")
	settles("a new version", "file")

	at := time.Unix(1234567890, 123456789)
	before := time.Now().UnixNano()
	for _, p := range []string{"file", "folder"} {
		_, err := r.engine.SetAttr(r.ctx, r.ino(p), Attr{Mtime: &at})
		require.NoError(t, err)
		require.GreaterOrEqual(t, stat(p), before, "utimes sets it to now")
	}
	settles("utimes", "file", "folder")

	mode := uint32(0o600)
	_, err := r.engine.SetAttr(r.ctx, r.ino("file"), Attr{Mode: &mode})
	require.NoError(t, err)
	settles("chmod", "file")

	r.rename("file", "folder/moved")
	settles("rename", "folder/moved", "folder")
}

// A time or a mode set while a program has the file open for writing comes with
// its close, and sets the change time.
func TestAttributesOfAnOpenFile(t *testing.T) {
	r := newRig(t, settleNever)
	in, f, err := r.engine.CreateOpen(r.ctx, r.ino(""), "file", 0o644, true)
	require.NoError(t, err)
	_, err = f.WriteAt(r.ctx, []byte("content"), 0)
	require.NoError(t, err)
	at, mode := time.Unix(1234567890, 5), uint32(0o751)
	before := time.Now().UnixNano()
	row, err := r.engine.SetAttr(r.ctx, in.Ino, Attr{Mtime: &at, Mode: &mode})
	require.NoError(t, err)
	check := func() {
		t.Helper()
		row, err := r.engine.Stat(r.ino("file"))
		require.NoError(t, err)
		require.Equal(t, at.UnixNano(), row.Mtime)
		require.EqualValues(t, mode, row.Mode)
		require.EqualValues(t, 7, row.Size)
		require.GreaterOrEqual(t, row.Ctime, before)
	}
	require.Equal(t, at.UnixNano(), row.Mtime)
	check()
	require.NoError(t, f.Flush(r.ctx))
	r.crash() // it was acknowledged
	r.start()
	check()
	require.Equal(t, "content", r.read("file"))
	r.flush()
	r.caughtUp()
	check()
	other := newMount(t, r.ctx, r.server, settleNever)
	other.start()
	require.NoError(t, other.engine.Ready(r.ctx))
	row, err = other.engine.Stat(other.ino("file"))
	require.NoError(t, err)
	require.Equal(t, at.UnixNano(), row.Mtime, "another mount sees them")
	require.EqualValues(t, mode, row.Mode)

	f, err = r.engine.Open(r.ctx, in.Ino, true, false) // open, nothing written
	require.NoError(t, err)
	mode = 0o700
	_, err = r.engine.SetAttr(r.ctx, in.Ino, Attr{Mode: &mode})
	require.NoError(t, err)
	f.Release()
	check()
	r.flush()
	require.Empty(t, r.engine.Status().Pending)
	require.Equal(t, map[string]string{"file": "content"}, r.cloud())
}
