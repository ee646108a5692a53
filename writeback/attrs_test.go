package writeback

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

func (m *mount) chmod(p string, mode uint32) {
	m.t.Helper()
	_, err := m.engine.SetAttr(m.ctx, m.ino(p), Attr{Mode: &mode})
	require.NoError(m.t, err)
}

func (m *mount) utimens(p string, when time.Time) {
	m.t.Helper()
	_, err := m.engine.SetAttr(m.ctx, m.ino(p), Attr{Mtime: &when})
	require.NoError(m.t, err)
}

func (m *mount) setXattr(p, name, value string) {
	m.t.Helper()
	require.NoError(m.t, m.engine.SetXattr(m.ctx, m.ino(p), name, value, XattrAny))
}

func (r *rig) extra(p string) tree.Extra { return tree.ParseExtra(r.account.Attrs(r.account.Find(p))) }

var exactTime = time.Unix(1_500_000_000, 123_456_789)

// What is set on something not yet up is part of its creation.
func TestAttributesArePartOfTheCreation(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("d")
	r.write("d/f", "content")
	for _, p := range []string{"d/f", "d"} {
		r.chmod(p, 0o700)
		r.setXattr(p, "a", "1")
		r.utimens(p, exactTime)
	}
	r.flush()
	require.Zero(t, r.sent("a"), "no command of their own")
	for _, p := range []string{"d", "d/f"} {
		x := r.extra(p)
		require.Equal(t, uint32(0o700), x.Mode, p)
		require.Equal(t, map[string]string{"a": "1"}, x.Xattrs)
		require.Equal(t, exactTime.UnixNano(), x.Mtime)
	}
	require.True(t, r.account.Tree()["d/f"].Mtime.Equal(exactTime.Truncate(time.Second)))
}

// Many changes are one command, and changes that cancel each other are none.
func TestAttributesAreCoalesced(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "content")
	r.flush()
	r.chmod("f", 0o600)
	r.chmod("f", 0o640)
	r.utimens("f", exactTime)
	r.setXattr("f", "a", "1")
	r.setXattr("f", "b", "2")
	r.rename("f", "g")
	r.flush()
	require.Equal(t, 1, r.sent("a"))
	require.Equal(t, uint32(0o640), r.extra("g").Mode)
	require.Len(t, r.extra("g").Xattrs, 2)
	r.chmod("g", 0o777)
	r.setXattr("g", "c", "3")
	require.NoError(t, r.engine.RemoveXattr(r.ctx, r.ino("g"), "c"))
	r.chmod("g", 0o640)
	r.flush()
	require.Equal(t, 1, r.sent("a"), "back to what it was")
	require.Equal(t, 1, r.sent("p"))
}

// What is set while a command is on its way is sent after it.
func TestAttributesWhileSending(t *testing.T) {
	r := newRig(t, nil)
	release := r.server.Faults().Hold("p")
	r.write("f", "content")
	r.eventually(r.engine.hasFlight)
	r.chmod("f", 0o700)
	r.setXattr("f", "a", "1")
	r.utimens("f", exactTime)
	release()
	r.flush()
	require.Equal(t, uint32(0o700), r.extra("f").Mode)
	require.Equal(t, "1", r.extra("f").Xattrs["a"])
	require.Equal(t, exactTime.UnixNano(), r.extra("f").Mtime)
	row, err := r.engine.Stat(r.ino("f"))
	require.NoError(t, err)
	require.Zero(t, row.Pending)
	require.Equal(t, exactTime.UnixNano(), row.Mtime)
}

// Attributes that another client changed stay, but for those changed here.
func TestAttributesMergeFieldByField(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "content")
	r.chmod("f", 0o700)
	r.setXattr("f", "a", "1")
	r.flush()
	r.chmod("f", 0o750)
	theirs := &tree.Inode{Kind: tree.File, Mode: 0o711, HasMode: true, Xattrs: map[string]string{"b": "2"}}
	h := r.account.Find("f")
	attrs := r.account.Attrs(h)
	theirs.StoreExtra(attrs)
	text, _ := attrs.String(tree.ExtraName)
	r.account.SetAttr(h, tree.ExtraName, text)
	r.account.SetAttr(h, "lbl", "3")
	r.caughtUp()
	require.Equal(t, "2", r.stat("f").Xattrs["b"])
	r.flush()
	require.Equal(t, uint32(0o750), r.extra("f").Mode)
	require.Equal(t, map[string]string{"b": "2"}, r.extra("f").Xattrs)
	lbl, _ := r.account.Attrs(h).String("lbl")
	require.Equal(t, "3", lbl)
}

func (m *mount) stat(p string) tree.Inode {
	m.t.Helper()
	in, err := m.engine.Stat(m.ino(p))
	require.NoError(m.t, err)
	return in
}

// The exact time holds as long as nobody else says another second, or writes.
func TestExactTimeEnds(t *testing.T) {
	r := newRig(t, nil)
	r.write("f", "content")
	r.utimens("f", exactTime)
	r.flush()
	r.caughtUp()
	require.Equal(t, exactTime.UnixNano(), r.stat("f").Mtime)
	r.write("f", "more")
	r.flush()
	require.False(t, r.extra("f").HasMtime, "a write's time is no program's")
	r.utimens("f", exactTime)
	r.flush()
	h := r.account.Find("f")
	f, err := megacrypto.ParseFingerprint(attrString(r.account.Attrs(h), "c"))
	require.NoError(t, err)
	f.Mtime = 77
	r.account.SetAttr(h, "c", f.String())
	r.caughtUp()
	require.EqualValues(t, 77e9, r.stat("f").Mtime)
}

func attrString(a megacrypto.Attributes, name string) string {
	text, _ := a.String(name)
	return text
}

// A file renamed over another brings its own attributes, and those of other
// clients stay.
func TestRenameOverBringsItsAttributes(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "old")
	r.chmod("f", 0o700)
	r.setXattr("f", "a", "1")
	r.flush()
	r.account.SetAttr(r.account.Find("f"), "fav", "1")
	r.caughtUp()
	r.write("tmp", "new")
	r.setXattr("tmp", "b", "2")
	r.rename("tmp", "f")
	r.flush()
	require.Equal(t, map[string]string{"b": "2"}, r.extra("f").Xattrs)
	require.False(t, r.extra("f").HasMode)
	fav, _ := r.account.Attrs(r.account.Find("f")).String("fav")
	require.Equal(t, "1", fav)
	require.Len(t, r.account.Versions(r.account.Find("f")), 2)
}

func TestSymlinkIsOneStep(t *testing.T) {
	r := newRig(t, settleNever)
	in, err := r.engine.Symlink(r.ctx, tree.DriveIno, "l", "target")
	require.NoError(t, err)
	got, err := r.engine.Readlink(r.ctx, in.Ino)
	require.NoError(t, err)
	require.Equal(t, "target", got)
	r.crash()
	r.start()
	require.NoError(t, r.engine.Ready(r.ctx))
	got, err = r.engine.Readlink(r.ctx, r.ino("l"))
	require.NoError(t, err)
	require.Equal(t, "target", got)
	r.flush()
	require.Equal(t, map[string]string{"l": "target"}, r.cloud())
	require.True(t, r.extra("l").Link)
	r.caughtUp()
	got, err = r.engine.Readlink(r.ctx, r.ino("l"))
	require.NoError(t, err)
	require.Equal(t, "target", got)

	for target, want := range map[string]error{"": tree.ErrInvalid, "a\x00b": tree.ErrInvalid, strings.Repeat("x", 5000): tree.ErrNameTooLong} {
		_, err := r.engine.Symlink(r.ctx, tree.DriveIno, "bad", target)
		require.ErrorIs(t, err, want)
	}
	r.write("f", "x")
	_, err = r.engine.Readlink(r.ctx, r.ino("f"))
	require.ErrorIs(t, err, ErrNotLink)
}

// A link that takes another one's place leaves that where it fails.
func TestLinkInThePlaceOfAnother(t *testing.T) {
	free := int64(-1)
	r := newRig(t, func(o *Options) { settleNever(o); o.MinFree = free })
	_, err := r.engine.Symlink(r.ctx, tree.DriveIno, "l", "one")
	require.NoError(t, err)
	r.flush()
	r.write("f", "x")
	_, err = r.engine.ReplaceLink(r.ctx, tree.DriveIno, "f", "two")
	require.ErrorIs(t, err, ErrNotLink)
	require.Equal(t, "x", r.read("f"))
	r.unlink("f")

	r.stop()
	free = 1 << 60
	r.start()
	_, err = r.engine.ReplaceLink(r.ctx, tree.DriveIno, "l", "two")
	require.ErrorIs(t, err, ErrNoSpace)
	require.Equal(t, []string{"l"}, r.names("/"))
	got, err := r.engine.Readlink(r.ctx, r.ino("l"))
	require.NoError(t, err)
	require.Equal(t, "one", got)

	r.stop()
	free = -1
	r.start()
	_, err = r.engine.ReplaceLink(r.ctx, tree.DriveIno, "l", "two")
	require.NoError(t, err)
	got, err = r.engine.Readlink(r.ctx, r.ino("l"))
	require.NoError(t, err)
	require.Equal(t, "two", got)
	r.flush()
	require.Equal(t, map[string]string{"l": "two"}, r.cloud())
}

// A share that is read-only takes no attributes, as it takes nothing.
func TestAttributesNeedTheRight(t *testing.T) {
	r := newRig(t, nil)
	friend := r.server.AddAccount("friend@example.org", testPassword, megatest.V1())
	folder := friend.Mkdir(friend.Root(), "shared")
	friend.PutFile(folder, "f", []byte("x"), time.Unix(5, 0))
	friend.Share(folder, r.account, 0)
	var f tree.Inode
	r.eventually(func() bool {
		list, err := r.engine.Tree().ReadDir(tree.SharesIno, "", 10)
		require.NoError(t, err)
		if len(list) == 0 {
			return false
		}
		f, err = r.engine.Tree().Lookup(list[0].Ino, "f")
		return err == nil
	})
	mode := uint32(0o700)
	_, err := r.engine.SetAttr(r.ctx, f.Ino, Attr{Mode: &mode})
	require.ErrorIs(t, err, tree.ErrAccess)
	require.ErrorIs(t, r.engine.SetXattr(r.ctx, f.Ino, "a", "1", XattrAny), tree.ErrAccess)
}

// A node that others have filled takes no more; everything else goes on.
func TestFullNodeHoldsNothingUp(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "content")
	r.write("g", "content")
	r.flush()
	h := r.account.Find("f")
	r.account.SetAttr(h, "des", strings.Repeat("x", megacrypto.MaxAttributes-60))
	r.caughtUp()
	require.ErrorIs(t, r.engine.SetXattr(r.ctx, r.ino("f"), "a", strings.Repeat("y", 100), XattrAny), ErrXattrRoom)
	r.chmod("f", 0o700)
	r.chmod("g", 0o700)
	r.utimens("f", exactTime)
	require.ErrorIs(t, r.engine.Flush(r.ctx, 0), ErrXattrRoom)
	require.Equal(t, uint32(0o700), r.extra("g").Mode)
	require.Equal(t, uint32(0o700), r.stat("f").Mode, "kept here")
	r.unlink("f")
	r.flush()
	require.True(t, r.account.InRubbish(h))
}

// The cloud has no access times: what a program sets stays here, also when the file is written, sent and reopened.
func TestAccessTimeIsKeptHere(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "content")
	_, err := r.engine.SetAttr(r.ctx, r.ino("f"), Attr{Atime: &exactTime})
	require.NoError(t, err)
	r.write("f", "other content")
	r.flush()
	in := r.stat("f")
	require.Equal(t, exactTime.UnixNano(), in.Atime)

	when := exactTime.Add(time.Hour)
	_, err = r.engine.SetAttr(r.ctx, r.ino("f"), Attr{Atime: &when, Mtime: &exactTime})
	require.NoError(t, err)
	in = r.stat("f")
	require.Equal(t, when.UnixNano(), in.Atime)
	require.Equal(t, exactTime.UnixNano(), in.Mtime)
}

// An upload that is acknowledged changes nothing that a program can see: tar would say "file changed as we read it".
func TestAcknowledgedIsNoChange(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "content")
	before := r.stat("f")
	r.flush()
	r.caughtUp()
	after := r.stat("f")
	require.Equal(t, before.Ctime, after.Ctime)
	require.Equal(t, before.Mtime, after.Mtime)
	require.Equal(t, before.Size, after.Size)
}

// Many files with as many attributes as they may have are made, changed, renamed and removed: what becomes of a batch is
// written in one transaction.
func TestManyFilesWithLongAttributes(t *testing.T) {
	const files = 150
	r := newRig(t, settleNever)
	each := func(do func(old, now string)) {
		for i := range files {
			do(fmt.Sprint("old", i), fmt.Sprint("new", i))
		}
		r.flush()
	}
	long := func(fill string) string { return strings.Repeat(fill, tree.MaxXattrs-1) }
	each(func(old, _ string) { r.mkdir(old); r.setXattr(old, "a", long("x")) })
	each(func(old, now string) { r.setXattr(old, "a", long("y")); r.rename(old, now) })
	require.Equal(t, long("y"), r.extra("new0").Xattrs["a"])
	each(func(_, now string) { r.rmdir(now) })
	require.Empty(t, r.cloud())
}
