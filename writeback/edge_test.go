package writeback

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

func TestDamagedContentIsHeldBack(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("good", "good")
	r.stop()
	r.open() // a segment of its own
	r.write("bad", strings.Repeat("bad", 1000))
	require.NoError(t, r.engine.Close())
	r.closeRest()
	segments, err := filepath.Glob(filepath.Join(r.dir, "staging", "*"))
	require.NoError(t, err)
	damaged := 0
	for _, path := range segments {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		if len(raw) > 3000 {
			raw[2000] ^= 1
			require.NoError(t, os.WriteFile(path, raw, 0o600))
			damaged++
		}
	}
	require.Equal(t, 1, damaged)
	r.start()
	err = r.engine.Flush(r.ctx, 0)
	require.ErrorIs(t, err, ErrHeldBack)
	require.Equal(t, map[string]string{"good": "good"}, r.cloud())
	pending := r.engine.Status().Pending
	require.Len(t, pending, 1)
	require.True(t, pending[0].Held)
	state, err := r.engine.FileState(r.ino("bad"))
	require.NoError(t, err)
	require.Equal(t, FileState{Stuck, errContentDamaged.Error()}, state)
	// Written anew it goes up.
	r.write("bad", "mended")
	r.flush()
	require.Equal(t, map[string]string{"good": "good", "bad": "mended"}, r.cloud())
}

func TestFolderRemovedElsewhereWithNewFileInside(t *testing.T) {
	r := newRig(t, settleNever)
	d := r.account.Mkdir(r.account.Root(), "d")
	r.account.PutFile(d, "old", []byte("old"), time.Time{})
	r.caughtUp()
	r.write("d/mine", "mine")
	r.account.Remove(d)
	r.caughtUp()
	r.flush()
	require.Equal(t, map[string]string{"d": "/", "d/mine": "mine"}, r.cloud())
	r.caughtUp()
	require.Equal(t, []string{"mine"}, r.names("d"))
}

func TestUploadLostByTheServer(t *testing.T) {
	r := newRig(t, settleNever)
	release := r.server.Faults().Hold("p")
	r.write("a", "A")
	done := make(chan error, 1)
	go func() { done <- r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.server.Faults().LoseUploads()
	release()
	require.NoError(t, <-done)
	require.Equal(t, map[string]string{"a": "A"}, r.cloud())
}

func TestOfflineEverythingLocalWorks(t *testing.T) {
	r := newRig(t, settleNever)
	r.account.PutFile(r.account.Root(), "a", []byte("A"), time.Time{})
	r.caughtUp()
	require.Equal(t, "A", r.read("a"))
	r.server.Faults().FailHTTP(megatest.API, 503, megatest.Always)
	r.server.Faults().FailHTTP(megatest.Events, 503, megatest.Always)
	r.write("b", "B")
	r.rename("a", "c")
	r.mkdir("d")
	ctx, cancel := context.WithTimeout(r.ctx, 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.engine.Flush(ctx, 0), context.DeadlineExceeded)
	require.Equal(t, "A", r.read("c"))
	require.Equal(t, "B", r.read("b"))
	r.server.Faults().Clear()
	r.flush()
	require.Equal(t, map[string]string{"b": "B", "c": "A", "d": "/"}, r.cloud())
}

func TestUnlinkDuringUploadSendsNoNode(t *testing.T) {
	r := newRig(t, settleNever)
	release := r.server.Faults().Hold("u")
	r.write("a", "A")
	go func() { _ = r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.unlink("a")
	release()
	r.flush()
	require.Zero(t, r.sent("p"))
	require.Empty(t, r.cloud())
}

func TestUnlinkWhileTheNodeIsMade(t *testing.T) {
	r := newRig(t, settleNever)
	release := r.server.Faults().Hold("p")
	r.write("a", "A")
	r.mkdir("d")
	go func() { _ = r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	r.unlink("a")
	r.rename("d", "e")
	r.write("e/in", "in")
	release()
	r.flush()
	require.Equal(t, map[string]string{"e": "/", "e/in": "in"}, r.cloud())
	r.caughtUp()
	require.Equal(t, []string{"e"}, r.names(""))
	require.Empty(t, r.engine.Status().Pending)
}

func TestWriteWhileUploading(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a", "one")
	release := r.server.Faults().Hold("p")
	go func() { _ = r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	f, err := r.engine.Open(r.ctx, r.ino("a"), true, false)
	require.NoError(t, err)
	size := int64(1)
	_, err = r.engine.SetAttr(r.ctx, r.ino("a"), Attr{Size: &size})
	require.NoError(t, err)
	_, err = f.WriteAt(r.ctx, []byte("Z"), 3)
	require.NoError(t, err)
	require.NoError(t, f.Flush(r.ctx))
	release()
	r.eventually(func() bool { in, err := r.engine.Tree().Get(r.ino("a")); return err == nil && in.Cloud != nil })
	require.Equal(t, "o\x00\x00Z", r.read("a"))
	f.Release()
	r.flush()
	require.Equal(t, map[string]string{"a": "o\x00\x00Z"}, r.cloud())
	require.Equal(t, "o\x00\x00Z", r.read("a"))
	require.Zero(t, r.engine.staging.Usage().Live)
}

// What others do to a file while its new content is being uploaded is heard before that becomes a version.
func TestChangedElsewhereDuringAnUpload(t *testing.T) {
	for _, row := range []struct {
		name  string
		there func(o there)
		want  map[string]string
	}{
		{"modified", func(o there) { o.write("d/a", "theirs") }, map[string]string{"d": "/", "d/a": "theirs", "d/a (!)": "mine"}},
		{"renamed", func(o there) { o.rename("d/a", "b") }, map[string]string{"d": "/", "d/b": "mine"}},
		{"deleted", func(o there) { o.remove("d/a") }, map[string]string{"d": "/", "d/a": "mine"}},
		{"its folder deleted", func(o there) { o.remove("d") }, map[string]string{"d": "/", "d/a": "mine"}},
		{"replaced by a folder", func(o there) { o.trash("d/a"); o.mkdir("d/a") }, map[string]string{"d": "/", "d/a": "/", "d/a (!)": "mine"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, settleNever)
			w, o := world{r}, there{r}
			o.mkdir("d")
			o.write("d/a", "old")
			r.caughtUp()
			w.write("d/a", "mine")
			release := r.server.Faults().HoldUploads(0)
			go func() { _ = r.engine.Flush(r.ctx, 0) }()
			require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
			row.there(o)
			r.caughtUp()
			release()
			r.eventually(func() bool { return r.engine.Flush(r.ctx, 0) == nil && r.quiet() })
			view, err := r.view()
			require.NoError(t, err)
			require.Equal(t, row.want, plain(view), r.dump())
			require.Equal(t, view, r.cloud())
		})
	}
}

func TestNamesThatPOSIXOrJSONCannotHold(t *testing.T) {
	r := newRig(t, settleNever)
	r.account.PutFile(r.account.Root(), "a/b", []byte("slash"), time.Time{})
	r.caughtUp()
	r.write("caf\xe9", "latin")
	r.flush()
	names := r.names("")
	require.Contains(t, names, "caf\xe9")
	require.Len(t, names, 2)
	r.stop()
	r.start()
	require.Equal(t, "latin", r.read("caf\xe9"))
}

func TestErrorsOfBadCalls(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("d")
	r.write("d/f", "x")
	_, err := r.engine.Create(r.ctx, r.ino("d"), "f", 0o644)
	require.ErrorIs(t, err, tree.ErrExist)
	require.ErrorIs(t, r.engine.Rmdir(r.ctx, tree.DriveIno, "d"), tree.ErrNotEmpty)
	require.ErrorIs(t, r.engine.Unlink(r.ctx, tree.DriveIno, "d"), tree.ErrIsDir)
	require.ErrorIs(t, r.engine.Rmdir(r.ctx, r.ino("d"), "f"), tree.ErrNotDir)
	require.ErrorIs(t, r.engine.Unlink(r.ctx, tree.DriveIno, "none"), tree.ErrNotFound)
	r.mkdir("d/e")
	require.ErrorIs(t, r.engine.Rename(r.ctx, tree.DriveIno, "d", r.ino("d/e"), "x", false), tree.ErrCircular)
	require.ErrorIs(t, r.engine.Rename(r.ctx, r.ino("d"), "e", r.ino("d"), "f", false), tree.ErrNotDir)
	require.ErrorIs(t, r.engine.Rename(r.ctx, r.ino("d"), "f", r.ino("d"), "e", false), tree.ErrIsDir)
	require.ErrorIs(t, r.engine.Rename(r.ctx, r.ino("d"), "f", r.ino("d"), "e", true), tree.ErrExist)
	_, err = r.engine.Create(r.ctx, tree.DriveIno, strings.Repeat("x", 256), 0o644)
	require.ErrorIs(t, err, tree.ErrNameTooLong)
	_, err = r.engine.Open(r.ctx, r.ino("d"), false, false)
	require.ErrorIs(t, err, tree.ErrIsDir)
	f, err := r.engine.Open(r.ctx, r.ino("d/f"), true, false)
	require.NoError(t, err)
	defer f.Release()
	_, err = f.WriteAt(r.ctx, []byte("x"), 1<<62)
	require.ErrorIs(t, err, ErrTooBig)
	huge := int64(1) << 62
	_, err = r.engine.SetAttr(r.ctx, r.ino("d/f"), Attr{Size: &huge})
	require.ErrorIs(t, err, ErrTooBig)
}

func TestFullDisk(t *testing.T) {
	r := newRig(t, func(o *Options) { settleNever(o) })
	r.write("a", "A")
	r.stop()
	r.options = func(o *Options) { settleNever(o); o.MinFree = 1 << 60 }
	r.start()
	_, err := r.engine.Create(r.ctx, tree.DriveIno, "b", 0o644)
	require.ErrorIs(t, err, ErrNoSpace)
	f, err := r.engine.Open(r.ctx, r.ino("a"), true, false)
	require.NoError(t, err)
	_, err = f.WriteAt(r.ctx, []byte("x"), 0)
	require.ErrorIs(t, err, ErrNoSpace)
	f.Release()
	r.rename("a", "c")
	r.flush()
	require.Equal(t, map[string]string{"c": "A"}, r.cloud())
	r.unlink("c")
	r.flush()
	require.Empty(t, r.cloud())
}

func TestForgetKeepsRemovedRowsForTheKernel(t *testing.T) {
	r := newRig(t, settleNever)
	origin := "mount"
	r.mount.ctx = tree.WithOrigin(r.ctx, origin)
	r.mkdir("d")
	ino := r.ino("d")
	r.rmdir("d")
	in, err := r.engine.Stat(ino)
	require.NoError(t, err)
	require.True(t, in.Removed)
	r.engine.Forget(origin, ino)
	_, err = r.engine.Stat(ino)
	require.ErrorIs(t, err, tree.ErrStale)
	r.mkdir("e")
	ino = r.ino("e")
	r.rmdir("e")
	r.engine.Detach(origin)
	_, err = r.engine.Stat(ino)
	require.ErrorIs(t, err, tree.ErrStale)
}

func TestManyRemovalsAreOneMove(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("d")
	for i := range 300 {
		r.write(fmt.Sprintf("d/%d", i), "")
	}
	r.flush()
	moves := r.sent("m")
	for i := range 300 {
		r.unlink(fmt.Sprintf("d/%d", i))
	}
	r.rmdir("d")
	r.flush()
	require.Equal(t, 1, r.sent("m")-moves)
	require.Empty(t, r.cloud())
	r.caughtUp()
	require.Empty(t, r.engine.Status().Pending)
}

func ExampleOpenStateKey() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	var master [16]byte // the account's master key
	first, _ := OpenStateKey(dir, master)
	again, _ := OpenStateKey(dir, master)
	fmt.Println(first == again)
	// Output: true
}

// An edit that was unlinked isn't what comes back when somebody takes the file
// out of the bin.
func TestRestoredElsewhereAfterAnUnlinkedEdit(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprint("open ", open), func(t *testing.T) {
			r := newRig(t, settleNever)
			h := r.account.PutFile(r.account.Root(), "a", []byte("in the cloud"), time.Time{})
			r.caughtUp()
			f, err := r.engine.Open(r.ctx, r.ino("a"), true, false)
			require.NoError(t, err)
			_, err = f.WriteAt(r.ctx, []byte("EDIT"), 0)
			require.NoError(t, err)
			require.NoError(t, f.Flush(r.ctx))
			if !open {
				f.Release()
			}
			r.unlink("a")
			r.account.Trash(h) // somebody does the same, so that the row stays
			r.caughtUp()
			r.account.Move(h, r.account.Root())
			r.caughtUp()
			r.flush()
			r.caughtUp()
			if open {
				f.Release()
			}
			require.Equal(t, map[string]string{"a": "in the cloud"}, r.cloud())
			require.Equal(t, "in the cloud", r.read("a"))
			require.Zero(t, r.engine.staging.Usage().Live)
			require.Empty(t, r.engine.Status().Pending)
		})
	}
}

// What is written while the answer about the file's first, empty content is on its way is stored when it is closed
// after that, and not the row as the answer left it.
func TestClosedAfterTheAnswerAboutWhatWasThereBefore(t *testing.T) {
	r := newRig(t, func(o *Options) {
		settleNever(o)
		o.Timings.Commit = never
	})
	release := r.server.Faults().Hold("p")
	_, f, err := r.engine.CreateOpen(r.ctx, tree.DriveIno, "index", 0o644, true)
	require.NoError(t, err)
	go func() { _ = r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	_, err = f.WriteAt(r.ctx, []byte("content"), 0)
	require.NoError(t, err)
	release()
	r.eventually(func() bool { return len(r.engine.Status().Pending) == 0 })
	require.NoError(t, f.Flush(r.ctx))
	f.Release()

	in, err := r.engine.Tree().Get(f.Ino())
	require.NoError(t, err)
	require.EqualValues(t, len("content"), in.Size)
	require.Equal(t, "content", r.read("index"))
	r.crash()
	r.start()
	require.Equal(t, "content", r.read("index"))
	r.flush()
	require.Equal(t, map[string]string{"index": "content"}, r.cloud())
}
