package writeback

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

func TestWriteFlushAndAnotherClientReads(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("docs")
	r.write("docs/a.txt", "hello")
	r.write("empty", "")
	require.Equal(t, "hello", r.read("docs/a.txt"))
	r.flush()
	require.Equal(t, map[string]string{"docs": "/", "docs/a.txt": "hello", "empty": ""}, r.cloud())
	require.Empty(t, r.engine.Status().Pending)
	require.Equal(t, "hello", r.read("docs/a.txt"))
	require.Zero(t, r.server.Stats().Downloads, "what was just written is in the cache")
}

func TestReadsWhatIsInTheCloud(t *testing.T) {
	r := newRig(t, settleNever)
	big := strings.Repeat("0123456789", 50_000)
	r.account.PutFile(r.account.Root(), "big", []byte(big), time.Unix(1e9, 0))
	r.caughtUp()
	require.Equal(t, big, r.read("big"))
	in, err := r.engine.Stat(r.ino("big"))
	require.NoError(t, err)
	require.Equal(t, time.Unix(1e9, 0).UnixNano(), in.Mtime)
}

func TestSettlesByItself(t *testing.T) {
	r := newRig(t, nil)
	r.write("a", "one")
	r.eventually(func() bool { return r.account.Find("a") != "" && r.engine.queue.len() == 0 })
	require.Equal(t, map[string]string{"a": "one"}, r.cloud())
}

func TestPartialWriteKeepsTheRestOfTheVersion(t *testing.T) {
	r := newRig(t, settleNever)
	content := []byte(strings.Repeat("abcdefgh", 100_000))
	old := r.account.PutFile(r.account.Root(), "f", content, time.Unix(1e9, 0))
	r.account.SetAttr(old, "lbl", "3")
	r.caughtUp()
	ino := r.ino("f")
	f, err := r.engine.Open(r.ctx, ino, true, false)
	require.NoError(t, err)
	_, err = f.WriteAt(r.ctx, []byte("XYZ"), 300_000)
	require.NoError(t, err)
	require.NoError(t, f.Flush(r.ctx))
	f.Release()
	copy(content[300_000:], "XYZ")
	require.Equal(t, string(content), r.read("f"))
	r.flush()
	require.Equal(t, map[string]string{"f": string(content)}, r.cloud())
	now := r.account.Find("f")
	require.Equal(t, []string{now, old}, r.account.Versions(now))
	label, _ := r.account.Attrs(now).String("lbl")
	require.Equal(t, "3", label, "attributes that aren't ours are kept")
	require.Equal(t, ino, r.ino("f"), "the inode is for life")
	require.Equal(t, string(content), r.read("f"))
}

func TestTruncateDownAndUp(t *testing.T) {
	r := newRig(t, settleNever)
	r.account.PutFile(r.account.Root(), "f", []byte("0123456789"), time.Time{})
	r.caughtUp()
	size := int64(4)
	in, err := r.engine.SetAttr(r.ctx, r.ino("f"), Attr{Size: &size})
	require.NoError(t, err)
	require.EqualValues(t, 4, in.Size)
	size = 8
	_, err = r.engine.SetAttr(r.ctx, r.ino("f"), Attr{Size: &size})
	require.NoError(t, err)
	require.Equal(t, "0123\x00\x00\x00\x00", r.read("f"))
	r.flush()
	require.Equal(t, map[string]string{"f": "0123\x00\x00\x00\x00"}, r.cloud())
}

func TestRenameOverIsANewVersion(t *testing.T) {
	r := newRig(t, settleNever)
	old := r.account.PutFile(r.account.Root(), "f", []byte("old"), time.Time{})
	r.caughtUp()
	reader, err := r.engine.Open(r.ctx, r.ino("f"), false, false)
	require.NoError(t, err)
	defer reader.Release()
	r.write("f.tmp", "new")
	temp := r.ino("f.tmp")
	r.rename("f.tmp", "f")
	require.Equal(t, temp, r.ino("f"), "the inode is the temporary file's")
	before := r.server.Stats()
	r.flush()
	after := r.server.Stats()
	require.Equal(t, map[string]string{"f": "new"}, r.cloud())
	require.Equal(t, []string{r.account.Find("f"), old}, r.account.Versions(r.account.Find("f")))
	require.Equal(t, 1, after.Commands["p"]-before.Commands["p"])
	require.Equal(t, 1, after.Commands["u"]-before.Commands["u"])
	require.Zero(t, after.Commands["m"]+after.Commands["a"]+after.Commands["d"])
	text, err := readAll(r.ctx, reader)
	require.NoError(t, err)
	require.Equal(t, "old", text, "who has the old one open reads the old bytes")
	require.Empty(t, r.engine.Status().Pending)
}

func TestVimsWayIsANewVersion(t *testing.T) {
	r := newRig(t, settleNever)
	old := r.account.PutFile(r.account.Root(), "f", []byte("old"), time.Time{})
	r.caughtUp()
	r.rename("f", "f~")
	r.write("f", "new")
	r.unlink("f~")
	r.flush()
	require.Equal(t, map[string]string{"f": "new"}, r.cloud())
	require.Equal(t, []string{r.account.Find("f"), old}, r.account.Versions(r.account.Find("f")))
	require.Equal(t, 0, r.sent("m"))
	require.Empty(t, r.engine.Status().Pending)
}

func TestRemoveAndCreateIsANewVersion(t *testing.T) {
	r := newRig(t, settleNever)
	old := r.account.PutFile(r.account.Root(), "f", []byte("old"), time.Time{})
	r.caughtUp()
	r.unlink("f")
	r.write("f", "new")
	r.flush()
	require.Equal(t, map[string]string{"f": "new"}, r.cloud())
	require.Equal(t, []string{r.account.Find("f"), old}, r.account.Versions(r.account.Find("f")))
}

func TestCreateAndRemoveSendsNothing(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("d")
	r.write("d/f", "x")
	r.rename("d/f", "d/g")
	r.unlink("d/g")
	r.rmdir("d")
	before := r.server.Stats()
	r.flush()
	after := r.server.Stats()
	for _, command := range []string{"p", "u", "a", "m", "d"} {
		require.Equal(t, before.Commands[command], after.Commands[command], command)
	}
	require.Empty(t, r.cloud())
}

func TestRenameOfWhatIsInTheCloud(t *testing.T) {
	r := newRig(t, settleNever)
	h := r.account.PutFile(r.account.Root(), "a", []byte("x"), time.Time{})
	r.account.Mkdir(r.account.Root(), "d")
	r.caughtUp()
	r.rename("a", "b")
	r.rename("b", "d/c")
	r.flush()
	require.Equal(t, map[string]string{"d": "/", "d/c": "x"}, r.cloud())
	require.Equal(t, h, r.account.Find("d/c"))
	require.Equal(t, 1, r.sent("a"))
	require.Equal(t, 1, r.sent("m"))
	r.caughtUp()
	require.Equal(t, []string{"c"}, r.names("d"))
	// There and back again is nothing.
	r.rename("d/c", "e")
	r.rename("e", "d/c")
	r.flush()
	require.Equal(t, 1, r.sent("m"))
}

func TestRenameOverWhenBothAreInTheCloud(t *testing.T) {
	r := newRig(t, settleNever)
	a := r.account.PutFile(r.account.Root(), "a", []byte("A"), time.Time{})
	b := r.account.PutFile(r.account.Root(), "b", []byte("B"), time.Time{})
	r.caughtUp()
	r.rename("a", "b")
	r.flush()
	require.Equal(t, map[string]string{"b": "A"}, r.cloud())
	require.Equal(t, a, r.account.Find("b"))
	require.True(t, r.account.InRubbish(b))
}

func TestRemoveTreeIsOneMoveToTheBin(t *testing.T) {
	r := newRig(t, settleNever)
	d := r.account.Mkdir(r.account.Root(), "d")
	e := r.account.Mkdir(d, "e")
	for _, name := range []string{"1", "2", "3"} {
		r.account.PutFile(e, name, []byte(name), time.Time{})
	}
	kept := r.account.PutFile(e, "kept", []byte("kept"), time.Time{})
	r.caughtUp()
	r.rename("d/e/kept", "kept")
	for _, name := range []string{"1", "2", "3"} {
		r.unlink("d/e/" + name)
	}
	r.rmdir("d/e")
	r.rmdir("d")
	r.flush()
	require.Equal(t, map[string]string{"kept": "kept"}, r.cloud())
	require.Equal(t, kept, r.account.Find("kept"))
	require.True(t, r.account.InRubbish(d))
	require.Equal(t, d, r.account.Parent(e), "it went as a whole")
	require.Equal(t, 2, r.sent("m"))
	r.caughtUp()
	require.Empty(t, r.engine.Status().Pending)
	require.Equal(t, []string{"kept"}, r.names(""))
}

func TestPermanentDelete(t *testing.T) {
	r := newRig(t, func(o *Options) { settleNever(o); o.PermanentDelete = true })
	h := r.account.PutFile(r.account.Root(), "a", []byte("A"), time.Time{})
	r.caughtUp()
	r.unlink("a")
	r.flush()
	r.eventually(func() bool { return !r.account.Exists(h) })
	r.eventually(func() bool { return r.engine.Status().PendingCount == 0 })
}

func TestMtimeGoesToTheCloud(t *testing.T) {
	r := newRig(t, settleNever)
	then := time.Unix(1_234_567_890, 987_654_321)
	r.write("a", "A")
	_, err := r.engine.SetAttr(r.ctx, r.ino("a"), Attr{Mtime: &then})
	require.NoError(t, err)
	r.flush()
	require.Equal(t, then.Unix(), r.account.Tree()["a"].Mtime.Unix())
	require.Zero(t, r.sent("a"), "part of its creation")
	r.caughtUp()
	in, err := r.engine.Stat(r.ino("a"))
	require.NoError(t, err)
	require.Equal(t, then.UnixNano(), in.Mtime, "nanoseconds stay here")
	later := then.Add(time.Hour)
	_, err = r.engine.SetAttr(r.ctx, r.ino("a"), Attr{Mtime: &later})
	require.NoError(t, err)
	r.flush()
	require.Equal(t, later.Unix(), r.account.Tree()["a"].Mtime.Unix())
	r.caughtUp()
	in, err = r.engine.Stat(r.ino("a"))
	require.NoError(t, err)
	require.Equal(t, later.UnixNano(), in.Mtime, "nanoseconds stay here")
}

func TestUnlinkedButOpen(t *testing.T) {
	r := newRig(t, settleNever)
	f := r.create("f")
	_, err := f.WriteAt(r.ctx, []byte("secret"), 0)
	require.NoError(t, err)
	r.unlink("f")
	_, err = f.WriteAt(r.ctx, []byte("!"), 6)
	require.NoError(t, err)
	text, err := readAll(r.ctx, f)
	require.NoError(t, err)
	require.Equal(t, "secret!", text)
	r.flush()
	ino := f.Ino()
	f.Release()
	require.Empty(t, r.cloud())
	require.Zero(t, r.sent("u"))
	_, err = r.engine.Stat(ino)
	require.ErrorIs(t, err, tree.ErrStale)
	require.Zero(t, r.engine.staging.Usage().Live)
}

func TestRestartServesAtOnceAndGoesOn(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("d")
	r.write("d/f", "content")
	r.stop()
	r.open()
	require.Equal(t, "content", r.read("d/f"), "without a network")
	require.NoError(t, r.engine.Close())
	r.closeRest()
	r.start()
	r.flush()
	require.Equal(t, map[string]string{"d": "/", "d/f": "content"}, r.cloud())
	require.Equal(t, 0, r.engine.queue.len())
}

func TestEventsOfAnotherClient(t *testing.T) {
	r := newRig(t, settleNever)
	h := r.account.PutFile(r.account.Root(), "a", []byte("one"), time.Time{})
	r.caughtUp()
	require.Equal(t, "one", r.read("a"))
	ino := r.ino("a")
	r.account.PutVersion(h, []byte("two!"), time.Time{})
	r.caughtUp()
	require.Equal(t, "two!", r.read("a"))
	require.Equal(t, ino, r.ino("a"))
	d := r.account.Mkdir(r.account.Root(), "d")
	r.account.Move(r.account.Find("a"), d)
	r.account.Rename(d, "e")
	r.caughtUp()
	require.Equal(t, []string{"e"}, r.names(""))
	require.Equal(t, "two!", r.read("e/a"))
	r.account.Trash(d)
	r.caughtUp()
	require.Empty(t, r.names(""))
}

func TestRefusedForQuota(t *testing.T) {
	r := newRig(t, settleNever)
	r.server.Faults().FailCommand("u", int(megaclient.EOVERQUOTA), 1)
	r.write("a", "A")
	err := r.engine.Flush(r.ctx, 0)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.ErrorIs(t, err, megaclient.EOVERQUOTA)
	pending := r.engine.Status().Pending
	require.Len(t, pending, 1)
	require.Contains(t, pending[0].Reason, "storage of this account is full")
	r.engine.Retry()
	r.flush()
	require.Equal(t, map[string]string{"a": "A"}, r.cloud())
}
