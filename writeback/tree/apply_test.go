package tree

import (
	"context"
	"regexp"
	"testing"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
)

func TestApplyBasics(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("FOLDERAA", rootH, "Docs"), file("FILEAAAA", "FOLDERAA", "a.txt"))
	h.check()
	d, f := h.at("/Docs"), h.at("/Docs/a.txt")
	require.Equal(t, int64(100+'F'), f.Size)
	require.Equal(t, int64(1_600_000_000e9), f.Mtime, "by the fingerprint")
	require.Equal(t, int64(1_700_000_000e9), f.Btime)
	require.Equal(t, Base{Handle: "FILEAAAA", Key: nodeKey("FILEAAAA", 32), Size: f.Size, Limit: f.Size}, f.Base)
	require.Equal(t, DriveIno, d.Parent)
	ino, ok := Ino(0), false
	require.NoError(t, h.View(func(tx *Tx) error { ino, ok = tx.ByHandle("FILEAAAA"); return nil }))
	require.True(t, ok)
	require.Equal(t, f.Ino, ino)
	path, err := h.Path(f.Ino)
	require.NoError(t, err)
	require.Equal(t, "/Docs/a.txt", path)

	// Renamed, with a new mtime.
	h.update(func(tx *Tx) error {
		return tx.ApplyAttrs("FILEAAAA", encrypted(t, file("FILEAAAA", "", ""), "b/c", 1_650_000_000), "")
	})
	h.check()
	h.absent("/Docs/a.txt")
	b := h.at("/Docs/b" + quote + "2fc")
	require.Equal(t, f.Ino, b.Ino)
	require.Equal(t, int64(1_650_000_000e9), b.Mtime)
	require.Equal(t, "b/c", b.Cloud.Name)

	// Moved, by both halves.
	h.update(func(tx *Tx) error { return tx.ApplyRemove("FILEAAAA", true) })
	require.Equal(t, f.Ino, h.at("/Docs/b"+quote+"2fc").Ino, "half a move changes nothing")
	h.apply(file("FILEAAAA", rootH, "moved"))
	h.check()
	require.Equal(t, f.Ino, h.at("/moved").Ino)
	h.update(func(tx *Tx) error { return tx.DropHalves() })
	require.Equal(t, f.Ino, h.at("/moved").Ino, "the move was complete")

	// To the bin: a move. Then gone.
	h.apply(folder("FOLDERAA", binH, "Docs"), file("FILEAAAA", "FOLDERAA", "moved"))
	require.Equal(t, f.Ino, h.at("//bin/Docs/moved").Ino)
	h.removeNode("FOLDERAA")
	h.absent("//bin/Docs")
	require.True(t, h.get(f.Ino).Removed)
	require.True(t, h.get(d.Ino).Removed)
}

func TestApplyHalfThatNeverCame(t *testing.T) {
	h := newHouse(t)
	h.apply(file("FILEAAAA", rootH, "a"))
	h.update(func(tx *Tx) error { return tx.ApplyRemove("FILEAAAA", true) })
	h.update(func(tx *Tx) error { return tx.DropHalves() })
	h.absent("/a")
	h.check()
}

func TestApplyHostile(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("FOLDERAA", rootH, "d"), folder("FOLDERBB", "FOLDERAA", "e"), file("FILEAAAA", rootH, "f"))
	for name, c := range map[string]struct {
		n    *megaclient.Node
		want error
	}{
		"type 99":              {&megaclient.Node{Handle: "TYPE99AA", Parent: rootH, Type: 99}, ErrInvalid},
		"type -1":              {&megaclient.Node{Handle: "TYPE99AA", Parent: rootH, Type: -1}, ErrInvalid},
		"no handle":            {file("X", rootH, "x"), nil},
		"handle with a slash":  {file("../../..", rootH, "x"), ErrInvalid},
		"long handle":          {file("AAAAAAAAAAAAAAAAAAAAAAAAA", rootH, "x"), ErrInvalid},
		"own parent":           {folder("SELFAAAA", "SELFAAAA", "x"), ErrInvalid},
		"no parent":            {folder("NOPARENT", "", "x"), ErrInvalid},
		"below itself":         {folder("FOLDERAA", "FOLDERBB", "d"), ErrCircular},
		"folder in a file":     {folder("INFILEAA", "FILEAAAA", "x"), ErrInvalid},
		"file becomes folder":  {folder("FILEAAAA", rootH, "f"), ErrInvalid},
		"second root":          {&megaclient.Node{Handle: "ROOTBBBB", Type: megaclient.RootNode}, ErrInvalid},
		"root is another root": {&megaclient.Node{Handle: binH, Type: megaclient.VaultNode}, ErrInvalid},
		"root as a folder":     {folder(rootH, "FOLDERAA", "x"), ErrInvalid},
	} {
		err := h.Update(context.Background(), func(tx *Tx) error { return tx.ApplyNode(c.n, "") })
		require.ErrorIs(t, err, c.want, name)
		h.check()
	}
	for _, name := range []string{"a/b", "..", ".", "", "a\x00b", string(make([]byte, 10_000)), "\xff\xfe"} {
		n := file("HOSTILEA", "FOLDERBB", name)
		h.apply(n)
		h.check()
		got := h.names(h.at("/d/e").Ino)
		require.Len(t, got, 1, "%.20q", name)
		require.NoError(t, ValidName(got[0]))
		require.Equal(t, "HOSTILEA", string(h.at("/d/e/"+got[0]).Cloud.Handle))
	}
	for _, at := range []int64{-1, 1 << 62, -1 << 62} {
		n := created(file("TIMEAAAA", rootH, "time"), at)
		n.Size, n.Attrs = -5, attrs("time", at)
		h.apply(n)
		h.check()
		require.Zero(t, h.at("/time").Size)
	}
	require.ErrorIs(t, h.Update(context.Background(), func(tx *Tx) error { return tx.ApplyRemove(rootH, false) }), ErrInvalid)
	require.ErrorIs(t, h.Update(context.Background(), func(tx *Tx) error { return tx.ApplyRemove("", false) }), ErrInvalid)
}

func TestOrphans(t *testing.T) {
	h := newHouse(t)
	h.applyEach(file("FILEAAAA", "FOLDERBB", "deep"), file("FILEBBBB", "FOLDERAA", "x"), folder("FOLDERBB", "FOLDERAA", "sub"))
	h.check()
	require.Empty(t, h.names(DriveIno))
	// Its attributes change, another one goes, while they wait.
	h.update(func(tx *Tx) error {
		return tx.ApplyAttrs("FILEAAAA", encrypted(t, file("FILEAAAA", "", ""), "renamed", 0), "")
	})
	h.removeNode("FILEBBBB")
	h.apply(folder("FOLDERAA", rootH, "top"))
	h.check()
	require.Equal(t, []string{"sub/"}, h.names(h.at("/top").Ino))
	require.Equal(t, []string{"renamed"}, h.names(h.at("/top/sub").Ino))

	// A known node that goes to an unknown parent stays until that comes.
	h.apply(folder("FOLDERBB", "FOLDERCC", "sub"))
	h.check()
	require.Equal(t, []string{"renamed"}, h.names(h.at("/top/sub").Ino))
	h.apply(folder("FOLDERCC", rootH, "late"))
	h.check()
	require.Equal(t, []string{"renamed"}, h.names(h.at("/late/sub").Ino))
}

func TestManyOrphans(t *testing.T) {
	h := newHouse(t)
	var nodes []*megaclient.Node
	for i := range 3 * adoptAtOnce {
		nodes = append(nodes, file(handle(i), "FOLDERAA", "f"+string(handle(i))))
	}
	h.apply(nodes...)
	h.apply(folder("FOLDERAA", rootH, "top"))
	h.check()
	require.Len(t, h.names(h.at("/top").Ino), len(nodes))
}

func TestNameless(t *testing.T) {
	h := newHouse(t)
	locked := file("FILEAAAA", "FOLDERAA", "secret")
	locked.Key, locked.Attrs, locked.RawKey, locked.RawAttrs = nil, nil, "key", "attrs"
	h.apply(folder("FOLDERAA", rootH, "d"), locked)
	h.check()
	d := h.at("/d").Ino
	require.Empty(t, h.names(d))
	require.NoError(t, h.View(func(tx *Tx) error {
		empty, err := tx.IsEmptyDir(d)
		require.NoError(t, err)
		require.False(t, empty, "what can't be decrypted is there all the same")
		return nil
	}))
	n, err := h.Unlock(context.Background())
	require.NoError(t, err)
	require.Zero(t, n)
	h.unlock = func(n *megaclient.Node) bool {
		require.Equal(t, "key", n.RawKey)
		n.Key, n.Attrs = nodeKey("FILEAAAA", 32), attrs("secret", 0)
		return true
	}
	n, err = h.Unlock(context.Background())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	h.check()
	f := h.at("/d/secret")
	require.Equal(t, nodeKey("FILEAAAA", 32), f.Base.Key)
	require.Empty(t, f.Cloud.RawKey)

	h.unlock = nil
	locked2 := folder("FOLDERBB", rootH, "")
	locked2.Key, locked2.Attrs = nil, nil
	h.apply(locked2, file("FILEBBBB", "FOLDERBB", "below"))
	h.check()
	h.apply(folder("FOLDERBB", rootH, "now"))
	h.check()
	h.at("/now/below")
	h.removeNode("FOLDERBB")
}

func TestNamelessIsSwept(t *testing.T) {
	h := newHouse(t)
	locked := file("FILEAAAA", "FOLDERAA", "secret")
	locked.Key, locked.Attrs = nil, nil
	h.apply(folder("FOLDERAA", rootH, "d"), locked)
	h.removeNode("FOLDERAA")
	require.NoError(t, h.View(func(tx *Tx) error {
		_, ok := tx.ByHandle("FILEAAAA")
		require.False(t, ok)
		return nil
	}))
}

func TestDoubles(t *testing.T) {
	h := newHouse(t)
	h.apply(created(file("BBBBBBBB", rootH, "x.txt"), 200), created(file("AAAAAAAA", rootH, "x.txt"), 200), created(file("CCCCCCCC", rootH, "x.txt"), 100))
	h.check()
	require.Equal(t, []string{"x (AAAAAAAA).txt", "x (BBBBBBBB).txt", "x.txt"}, h.names(DriveIno))
	require.Equal(t, "CCCCCCCC", string(h.at("/x.txt").Cloud.Handle), "the oldest has the name")
	a := h.at("/x (AAAAAAAA).txt").Ino
	h.removeNode("CCCCCCCC")
	require.Equal(t, a, h.at("/x.txt").Ino, "then the lower handle")
	require.Equal(t, []string{"x (BBBBBBBB).txt", "x.txt"}, h.names(DriveIno))

	// A user renames the double: it isn't one any more.
	b := h.at("/x (BBBBBBBB).txt").Ino
	h.move(b, DriveIno, "y.txt")
	h.check()
	h.unlink(a)
	h.check()
	require.Equal(t, []string{"y.txt"}, h.names(DriveIno))

	// The order of arrival doesn't matter.
	h2 := newHouse(t)
	h2.applyEach(created(file("CCCCCCCC", rootH, "x"), 300), created(file("BBBBBBBB", rootH, "x"), 200), created(folder("AAAAAAAA", rootH, "x"), 100))
	h2.check()
	require.Equal(t, []string{"x/", "x (BBBBBBBB)", "x (CCCCCCCC)"}, h2.names(DriveIno))
	h2.update(func(tx *Tx) error {
		return tx.ApplyAttrs("AAAAAAAA", encrypted(t, folder("AAAAAAAA", "", ""), "z", 0), "")
	})
	h2.check()
	require.Equal(t, []string{"x", "x (CCCCCCCC)", "z/"}, h2.names(DriveIno))

	// A node that is really called what a double is shown as.
	h2.apply(created(file("DDDDDDDD", rootH, "x (CCCCCCCC)"), 50))
	h2.check()
	require.Equal(t, []string{"x", "x (CCCCCCCC)", "x (CCCCCCCC-2)", "z/"}, h2.names(DriveIno))
	require.Equal(t, "DDDDDDDD", string(h2.at("/x (CCCCCCCC)").Cloud.Handle))
}

// A program that renames a name away and makes it anew must not find a double there.
func TestDoublesWaitForTheEndOfTheTransaction(t *testing.T) {
	h := newHouse(t)
	h.apply(created(file("AAAAAAAA", rootH, "x"), 1), created(file("BBBBBBBB", rootH, "x"), 2))
	a := h.at("/x").Ino
	h.update(func(tx *Tx) error {
		if err := tx.Move(a, DriveIno, "x~"); err != nil {
			return err
		}
		if err := pend(tx, a, PendingPlace, nil); err != nil {
			return err
		}
		return tx.Create(&Inode{Kind: File, Parent: DriveIno, Name: "x", Pending: PendingContent})
	})
	h.check()
	require.Equal(t, []string{"x", "x (BBBBBBBB)", "x~"}, h.names(DriveIno))
	require.Nil(t, h.at("/x").Cloud)
}

var conflictName = regexp.MustCompile(`^x \(conflict 2026-03-04 box-[A-Z0-9]{4}\)\.txt$`)

func TestLocalGivesWay(t *testing.T) {
	h := newHouse(t)
	mine := h.create(DriveIno, "x.txt", File)
	h.apply(file("AAAAAAAA", rootH, "x.txt"))
	h.check()
	require.Equal(t, "AAAAAAAA", string(h.at("/x.txt").Cloud.Handle))
	in := h.get(mine)
	require.Regexp(t, conflictName, in.Name)
	require.Equal(t, PendingCreate|PendingContent, in.Pending)

	// So does one that was renamed to that name here.
	h.apply(file("BBBBBBBB", rootH, "b"))
	b := h.at("/b").Ino
	h.move(b, DriveIno, "y")
	h.apply(folder("CCCCCCCC", rootH, "y"))
	h.check()
	require.Equal(t, Dir, h.at("/y").Kind)
	in = h.get(b)
	require.Contains(t, in.Name, "y (conflict ")
	require.Equal(t, PendingPlace, in.Pending)
}

func TestFoldersMerge(t *testing.T) {
	h := newHouse(t)
	d := h.create(DriveIno, "d", Dir)
	f := h.create(d, "f", File)
	h.apply(folder("AAAAAAAA", rootH, "d"), file("BBBBBBBB", "AAAAAAAA", "g"))
	h.check()
	require.Equal(t, d, h.at("/d").Ino)
	require.Zero(t, h.at("/d").Pending)
	require.Equal(t, "AAAAAAAA", string(h.at("/d").Cloud.Handle))
	require.Equal(t, []string{"f", "g"}, h.names(d))
	require.Equal(t, PendingCreate|PendingContent, h.get(f).Pending)
}

func TestPendingFieldsStay(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("DIRAAAAA", rootH, "d"), file("AAAAAAAA", rootH, "x"))
	x := h.at("/x").Ino
	h.move(x, DriveIno, "mine")
	h.pend(x, PendingAttrs, func(in *Inode) { in.Mtime = 42 })
	n := file("AAAAAAAA", "DIRAAAAA", "theirs")
	n.Attrs = attrs("theirs", 1_650_000_000)
	h.apply(n)
	h.check()
	in := h.at("/d/theirs")
	require.Equal(t, x, in.Ino, "of two places theirs wins")
	require.Equal(t, int64(42), in.Mtime)
	require.Equal(t, PendingAttrs, in.Pending)
	require.Equal(t, "theirs", in.Cloud.Name, "the shadow follows always")
	require.Equal(t, "DIRAAAAA", string(in.Cloud.Parent))
	// Nothing pending any more: the cloud's place.
	h.update(func(tx *Tx) error { return pend(tx, x, 0, func(in *Inode) { in.Pending = 0 }) })
	h.check()
	require.Equal(t, x, h.at("/d/theirs").Ino)
}

func TestOwnCreation(t *testing.T) {
	h := newHouse(t)
	d, f := h.create(DriveIno, "d", Dir), h.create(DriveIno, "f", File)
	h.keys[string(nodeKey("FFFFFFFF", 32))] = f
	h.keys[string(nodeKey("DDDDDDDD", 16))] = d
	h.takeChanges()
	h.apply(folder("DDDDDDDD", rootH, "d"), file("FFFFFFFF", rootH, "f"), file("GGGGGGGG", "DDDDDDDD", "g"))
	h.check()
	require.Equal(t, "FFFFFFFF", string(h.get(f).Cloud.Handle))
	require.Equal(t, d, h.at("/d").Ino)
	for _, c := range h.takeChanges() {
		require.NotEqual(t, f, c.Ino)
	}
	// Unlinked while it was on its way: now it has to be removed.
	e := h.create(DriveIno, "e", File)
	h.keys[string(nodeKey("EEEEEEEE", 32))] = e
	h.unlink(e)
	h.apply(file("EEEEEEEE", rootH, "e"))
	h.check()
	h.absent("/e")
	require.True(t, h.get(e).Pending.Has(PendingRemove))
}

func TestMoves(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("AAAAAAAA", rootH, "a"), folder("BBBBBBBB", rootH, "b"))
	a, b := h.at("/a").Ino, h.at("/b").Ino
	h.move(a, b, "a") // here a goes into b; there b goes into a
	h.apply(folder("BBBBBBBB", "AAAAAAAA", "b"))
	h.check()
	require.Equal(t, a, h.at("/a").Ino, "the move here is undone")
	require.Equal(t, b, h.at("/a/b").Ino)
	require.Zero(t, h.get(a).Pending)
}

// A fetch may name a child before its parent, and so seem to have a cycle.
func TestFetchOutOfOrder(t *testing.T) {
	h := newHouse(t)
	h.fetch(folder("AAAAAAAA", rootH, "a"), folder("BBBBBBBB", "AAAAAAAA", "b"))
	a, b := h.at("/a").Ino, h.at("/a/b").Ino
	h.fetch(folder("AAAAAAAA", "BBBBBBBB", "a"), folder("BBBBBBBB", rootH, "b"))
	require.Equal(t, b, h.at("/b").Ino)
	require.Equal(t, a, h.at("/b/a").Ino)
}

func TestFetchRemovesWhatIsNotNamed(t *testing.T) {
	h := newHouse(t)
	require.True(t, h.Fetched())
	h.fetch(folder("AAAAAAAA", rootH, "a"), file("BBBBBBBB", "AAAAAAAA", "b"), file("CCCCCCCC", rootH, "c"), file("VVVVVVVV", "CCCCCCCC", "c"), file("OOOOOOOO", "NOWHEREE", "o"))
	require.Equal(t, 1, h.at("/c").Cloud.Versions)
	mine := h.create(DriveIno, "mine", File)
	c := h.at("/c").Ino
	h.fetch(file("CCCCCCCC", rootH, "c"))
	require.Equal(t, []string{"c", "mine"}, h.names(DriveIno))
	require.Equal(t, c, h.at("/c").Ino)
	require.Zero(t, h.at("/c").Cloud.Versions)
	require.Equal(t, mine, h.at("/mine").Ino)
	n, err := h.Reap(context.Background(), func(Inode) bool { return false })
	require.NoError(t, err)
	require.Equal(t, 2, n)
	h.check()
	require.ErrorIs(t, h.EndFetch(context.Background(), 1), ErrInvalid)
}

func TestShares(t *testing.T) {
	h := newHouse(t)
	share := func(hd megaclient.Handle, name string, access int) *megaclient.Node {
		n := folder(hd, "THEIRSAA", name)
		n.ShareRoot, n.SharedBy, n.Access = true, "FRIENDAAAAA", access
		return n
	}
	h.apply(share("SHAREAAA", "s", megaclient.AccessRead), share("SHAREBBB", "s", megaclient.AccessFull), share("SHARECCC", "rw", megaclient.AccessWrite),
		file("FILEAAAA", "SHAREAAA", "f"), file("FILEBBBB", "SHAREBBB", "f"), file("FILECCCC", "SHARECCC", "f"), folder("OWNAAAAA", rootH, "own"))
	h.check()
	require.Equal(t, []string{"rw/", "s/", "s (SHAREBBB)/"}, h.names(SharesIno))
	ro, full, rw := h.at("//shares/s").Ino, h.at("//shares/s (SHAREBBB)").Ino, h.at("//shares/rw").Ino
	own := h.at("/own").Ino
	require.NoError(t, h.View(func(tx *Tx) error {
		require.ErrorIs(t, tx.MayCreate(ro), ErrAccess)
		require.ErrorIs(t, tx.MayCreate(SharesIno), ErrAccess)
		require.ErrorIs(t, tx.MayCreate(VaultIno), ErrReadOnly)
		require.NoError(t, tx.MayCreate(rw))
		require.NoError(t, tx.MayCreate(full))
		require.ErrorIs(t, tx.MayRemove(ro), ErrShareRoot)
		require.ErrorIs(t, tx.MayRemove(full), ErrShareRoot)
		f, err := tx.Lookup(rw, "f")
		require.NoError(t, err)
		require.ErrorIs(t, tx.MayRemove(f.Ino), ErrAccess)
		require.ErrorIs(t, tx.MayWrite(f.Ino), ErrAccess)
		f, err = tx.Lookup(full, "f")
		require.NoError(t, err)
		require.NoError(t, tx.MayWrite(f.Ino))
		require.ErrorIs(t, tx.MayMove(f.Ino, own), ErrCrossShare)
		require.ErrorIs(t, tx.MayMove(own, full), ErrCrossShare)
		return nil
	}))
	h.update(func(tx *Tx) error {
		return tx.AddShareKeys(map[megaclient.Handle]megaclient.ShareKey{"OWNAAAAA": {Proven: true}, "SHAREBBB": {}})
	})
	shares, err := h.SharesOf(h.at("//shares/s (SHAREBBB)/f").Ino)
	require.NoError(t, err)
	require.Equal(t, []megaclient.Handle{"SHAREBBB"}, shares)
	shares, err = h.SharesOf(own)
	require.NoError(t, err)
	require.Equal(t, []megaclient.Handle{"OWNAAAAA"}, shares)
	// A share inside a share that we see whole later.
	outer := share("THEIRSAA", "outer", megaclient.AccessFull)
	outer.Parent = "UNSEENAA"
	h.apply(outer)
	h.check()
	require.Equal(t, []string{"rw/", "s/", "s (SHAREBBB)/"}, h.names(h.at("//shares/outer").Ino))
}
