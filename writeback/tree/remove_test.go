package tree

import (
	"errors"
	"slices"
	"testing"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
)

// What happens to something that is removed in the cloud, by what is pending here.
func TestRemoveFile(t *testing.T) {
	for name, c := range map[string]struct {
		pend Pending
		kept bool
	}{
		"nothing pending":            {0, false},
		"a new name":                 {PendingPlace, false},
		"attributes":                 {PendingAttrs, false},
		"content":                    {PendingContent, true},
		"content, name, attributes":  {PendingContent | PendingPlace | PendingAttrs, true},
		"its creation not confirmed": {PendingCreate, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.apply(file("AAAAAAAA", rootH, "x"))
			x := h.at("/x").Ino
			h.pend(x, c.pend, nil)
			h.removeNode("AAAAAAAA")
			in := h.get(x)
			require.Nil(t, in.Cloud)
			require.Equal(t, !c.kept, in.Removed)
			if c.kept {
				require.Equal(t, PendingCreate|PendingContent, in.Pending)
				require.Equal(t, x, h.at("/x").Ino)
				require.Equal(t, "AAAAAAAA", string(in.Base.Handle), "unwritten bytes still come from there, while they can")
			} else {
				require.Zero(t, in.Pending)
				h.absent("/x")
			}
			h.removeNode("AAAAAAAA") // repeated
		})
	}
}

func TestRemoveRemovedHere(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("AAAAAAAA", rootH, "d"), file("BBBBBBBB", "AAAAAAAA", "x"))
	d, x := h.at("/d").Ino, h.at("/d/x").Ino
	h.unlink(x)
	h.check()
	h.removeNode("AAAAAAAA")
	for _, ino := range []Ino{d, x} {
		in := h.get(ino)
		require.True(t, in.Removed)
		require.Nil(t, in.Cloud)
		require.Zero(t, in.Pending)
	}
}

func TestRemoveFolderKeepsPending(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("AAAAAAAA", rootH, "d"), folder("BBBBBBBB", "AAAAAAAA", "sub"), folder("CCCCCCCC", "AAAAAAAA", "other"),
		file("DDDDDDDD", "BBBBBBBB", "edited"), file("EEEEEEEE", "BBBBBBBB", "plain"), file("FFFFFFFF", "CCCCCCCC", "plain"), file("GGGGGGGG", "AAAAAAAA", "plain"),
		file("IIIIIIII", rootH, "moved in"), file("JJJJJJJJ", "AAAAAAAA", "moved out"), folder("KKKKKKKK", "CCCCCCCC", "moved out too"), file("LLLLLLLL", "KKKKKKKK", "below"))
	edited := h.at("/d/sub/edited").Ino
	h.pend(edited, PendingContent, nil)
	made := h.create(h.at("/d/sub").Ino, "made", File)
	in, out, outDir := h.at("/moved in").Ino, h.at("/d/moved out").Ino, h.at("/d/other/moved out too").Ino
	h.move(in, h.at("/d").Ino, "moved in")
	h.move(out, DriveIno, "kept?")
	h.move(outDir, DriveIno, "kept dir?")
	below := h.at("/kept dir?/below").Ino
	h.removeNode("AAAAAAAA")

	require.Equal(t, []string{"d/", "moved in"}, h.names(DriveIno), "a move out of it is forgotten, one into it undone")
	require.Equal(t, []string{"sub/"}, h.names(h.at("/d").Ino), "exactly that")
	require.Equal(t, []string{"edited", "made"}, h.names(h.at("/d/sub").Ino))
	for _, p := range []string{"/d", "/d/sub"} {
		require.Equal(t, PendingCreate, h.at(p).Pending)
		require.Nil(t, h.at(p).Cloud)
	}
	require.Equal(t, PendingCreate|PendingContent, h.get(edited).Pending)
	require.Equal(t, PendingCreate|PendingContent, h.get(made).Pending)
	require.Zero(t, h.get(in).Pending)
	require.True(t, h.get(below).Removed)
	require.True(t, h.get(outDir).Removed)
}

// A folder with something moved in that will leave, and nothing else, goes.
func TestRemoveFolderWithMovedInFolder(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("AAAAAAAA", rootH, "d"), folder("BBBBBBBB", rootH, "e"), file("CCCCCCCC", "BBBBBBBB", "x"))
	h.pend(h.at("/e/x").Ino, PendingContent, nil)
	h.move(h.at("/e").Ino, h.at("/d").Ino, "e")
	h.removeNode("AAAAAAAA")
	require.Equal(t, []string{"e/"}, h.names(DriveIno))
	require.Equal(t, PendingContent, h.at("/e/x").Pending)
}

// What is changed when its folder has gone and isn't swept yet stays, and the folder comes back for it.
func TestChangedBeforeItsFolderIsSwept(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("AAAAAAAA", rootH, "d"), folder("BBBBBBBB", "AAAAAAAA", "sub"), file("CCCCCCCC", "BBBBBBBB", "x"), file("DDDDDDDD", "AAAAAAAA", "plain"))
	x := h.at("/d/sub/x").Ino
	h.update(func(tx *Tx) error {
		if err := tx.ApplyRemove("AAAAAAAA", false); err != nil {
			return err
		}
		return pend(tx, x, PendingContent, nil)
	})
	h.check()
	require.Equal(t, x, h.at("/d/sub/x").Ino)
	require.Equal(t, PendingCreate|PendingContent, h.get(x).Pending)
	require.Equal(t, []string{"sub/"}, h.names(h.at("/d").Ino))
	require.Equal(t, PendingCreate, h.at("/d").Pending)
}

// What was moved here within a folder that goes has nowhere to go back to.
func TestRemoveFolderWithMovesInside(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("AAAAAAAA", rootH, "d"), folder("BBBBBBBB", "AAAAAAAA", "e"), file("CCCCCCCC", "BBBBBBBB", "x"), file("DDDDDDDD", "BBBBBBBB", "y"))
	x, y := h.at("/d/e/x").Ino, h.at("/d/e/y").Ino
	h.pend(x, PendingContent, nil)
	h.move(x, h.at("/d").Ino, "x")
	h.move(y, h.at("/d").Ino, "y")
	h.removeNode("AAAAAAAA")
	require.Equal(t, []string{"x"}, h.names(h.at("/d").Ino))
	require.Equal(t, PendingCreate|PendingContent, h.get(x).Pending)
	require.True(t, h.get(y).Removed)
}

// A swept row must still hang below what was removed: what was moved away in the meantime stays.
func TestSweepLooksAgain(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("AAAAAAAA", rootH, "d"), folder("BBBBBBBB", "AAAAAAAA", "e"), file("CCCCCCCC", "BBBBBBBB", "x"))
	x := h.at("/d/e/x").Ino
	h.update(func(tx *Tx) error {
		if err := tx.ApplyRemove("AAAAAAAA", false); err != nil {
			return err
		}
		return tx.ApplyNode(folder("BBBBBBBB", rootH, "saved"), "")
	})
	h.check()
	require.Equal(t, x, h.at("/saved/x").Ino)
}

// A folder that can't be swept holds up no other.
func TestSweepPassesOverDamage(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("AAAAAAAA", rootH, "d"), file("BBBBBBBB", "AAAAAAAA", "x"))
	x, damaged := h.at("/d/x").Ino, inoKey(rowSweep, DriveIno) // the first to be seen to
	h.update(func(tx *Tx) error { return tx.setRaw(damaged, []byte("scribble")) })
	h.update(func(tx *Tx) error { return tx.ApplyRemove("AAAAAAAA", false) })
	require.True(t, h.get(x).Removed)
	h.update(func(tx *Tx) error { return tx.del(damaged) })
	h.check()
}

func TestSweepOfManyInSteps(t *testing.T) {
	h := newHouse(t)
	nodes := []*megaclient.Node{folder("AAAAAAAA", rootH, "d"), folder("BBBBBBBB", "AAAAAAAA", "e")}
	for i := range 3*sweepAtOnce + 1 {
		nodes = append(nodes, file(handle(i), "BBBBBBBB", "f"+string(handle(i))))
	}
	h.apply(nodes...)
	mid := h.at("/d/e/f" + string(handle(sweepAtOnce))).Ino
	h.pend(mid, PendingContent, nil)
	h.removeNode("AAAAAAAA")
	require.Equal(t, []string{"f" + string(handle(sweepAtOnce))}, h.names(h.at("/d/e").Ino))
}

// The bin is a place like any other: what was removed here shows there once it is there.
func TestRemovedHereMovedToBin(t *testing.T) {
	h := newHouse(t)
	h.own["ours"] = true
	h.apply(folder("AAAAAAAA", rootH, "d"), file("BBBBBBBB", "AAAAAAAA", "x"))
	d, x := h.at("/d").Ino, h.at("/d/x").Ino
	h.unlink(x)
	h.unlink(d)
	h.check()
	h.update(func(tx *Tx) error {
		for _, n := range []*megaclient.Node{folder("AAAAAAAA", binH, "d"), file("BBBBBBBB", "AAAAAAAA", "x")} {
			if err := tx.ApplyNode(n, "ours"); err != nil {
				return err
			}
		}
		return nil
	})
	h.check()
	require.Equal(t, d, h.at("//bin/d").Ino)
	require.Equal(t, x, h.at("//bin/d/x").Ino)
	require.Zero(t, h.get(x).Pending|h.get(d).Pending)
}

// Who moves elsewhere what is removed here wants to keep it; our own move before the removal doesn't.
func TestRemovedHereMovedThere(t *testing.T) {
	h := newHouse(t)
	h.own["ours"] = true
	h.apply(folder("AAAAAAAA", rootH, "d"), file("BBBBBBBB", rootH, "x"))
	x := h.at("/x").Ino
	h.unlink(x)
	h.update(func(tx *Tx) error { return tx.ApplyNode(file("BBBBBBBB", "AAAAAAAA", "x"), "ours") })
	h.check()
	require.True(t, h.get(x).Removed)
	h.update(func(tx *Tx) error { return tx.ApplyNode(file("BBBBBBBB", "AAAAAAAA", "renamed"), "theirs") })
	require.True(t, h.get(x).Removed, "not moved")
	h.update(func(tx *Tx) error { return tx.ApplyNode(file("BBBBBBBB", rootH, "renamed"), "theirs") })
	h.check()
	require.Equal(t, x, h.at("/renamed").Ino)
	require.Zero(t, h.get(x).Pending)
}

// A folder removed here into which somebody puts something stays, with exactly that in it.
func TestRemovedHereFilledThere(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("AAAAAAAA", rootH, "d"), folder("BBBBBBBB", "AAAAAAAA", "e"), file("CCCCCCCC", "BBBBBBBB", "x"))
	for _, p := range []string{"/d/e/x", "/d/e", "/d"} {
		h.unlink(h.at(p).Ino)
	}
	h.check()
	h.apply(file("DDDDDDDD", "BBBBBBBB", "new"))
	h.check()
	require.Equal(t, []string{"new"}, h.names(h.at("/d/e").Ino))
	require.Zero(t, h.at("/d").Pending)
}

// Files with many versions, which go too, don't make a step too big.
func TestSweepOfManyVersions(t *testing.T) {
	h := newHouse(t)
	const files, versions = 60, 150
	nodes := []*megaclient.Node{folder("AAAAAAAA", rootH, "d")}
	for i := range files {
		top := handle(i * 1000)
		nodes = append(nodes, file(top, "AAAAAAAA", "f"+string(top)))
		for j := 1; j <= versions; j++ {
			nodes = append(nodes, file(handle(i*1000+j), top, ""))
		}
	}
	fill := func() {
		for chunk := range slices.Chunk(nodes, 1000) {
			h.apply(chunk...)
		}
		require.Equal(t, versions, h.at("/d/f"+string(handle(1000))).Cloud.Versions)
	}
	fill()
	h.removeNode("AAAAAAAA")
	h.absent("/d")
	fill()
	h.fetch()
	h.absent("/d")
}

// A chain of folders deeper than any path is refused at some point, and costs no more than time.
func TestDeepChain(t *testing.T) {
	h := newHouse(t)
	parent, refused := rootH, 0
	for start := 0; start < maxDepth+200; start += 1000 {
		h.update(func(tx *Tx) error {
			for i := start; i < start+1000; i++ {
				err := tx.ApplyNode(folder(handle(i), parent, "d"), "")
				if errors.Is(err, ErrInvalid) {
					refused++
					continue
				}
				if err != nil {
					return err
				}
				parent = handle(i)
			}
			return nil
		})
	}
	require.Positive(t, refused)
	h.removeNode(handle(0))
	require.Empty(t, h.names(DriveIno))
}
