package tree

import (
	"testing"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
)

// newVersion is what a packet brings when a file is saved anew: the new node, the old one below it.
func newVersion(h, old megaclient.Handle, parent megaclient.Handle, name string) []*megaclient.Node {
	top, below := created(file(h, parent, name), 1_700_000_500), file(old, h, name)
	top.Attrs = attrs(name, 1_650_000_000)
	below.Version = true
	return []*megaclient.Node{top, below}
}

func TestNewVersion(t *testing.T) {
	for name, each := range map[string]bool{"one transaction": false, "one each": true} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			apply := h.apply
			if each {
				apply = h.applyEach
			}
			h.apply(file("AAAAAAAA", rootH, "x"))
			x := h.at("/x")
			h.takeChanges()
			apply(newVersion("BBBBBBBB", "AAAAAAAA", rootH, "x")...)
			h.check()
			require.Equal(t, []string{"x"}, h.names(DriveIno))
			in := h.at("/x")
			require.Equal(t, x.Ino, in.Ino, "the inode is for life")
			require.Equal(t, "BBBBBBBB", string(in.Cloud.Handle))
			require.Equal(t, "BBBBBBBB", string(in.Base.Handle))
			require.Equal(t, int64(100+'B'), in.Size)
			require.Equal(t, int64(1_650_000_000e9), in.Mtime)
			require.Equal(t, 1, in.Cloud.Versions)
			content := false
			for _, c := range h.takeChanges() {
				content = content || c.Content && c.Ino == x.Ino
			}
			require.True(t, content)

			apply(newVersion("CCCCCCCC", "BBBBBBBB", rootH, "x")...)
			h.apply(file("AAAAAAAA", "BBBBBBBB", "x"))
			h.check()
			require.Equal(t, 2, h.at("/x").Cloud.Versions)
			require.Equal(t, x.Ino, h.at("/x").Ino)
			h.removeNode("AAAAAAAA")
			require.Equal(t, 1, h.at("/x").Cloud.Versions)
			h.removeNode("CCCCCCCC")
			h.absent("/x")
			require.NoError(t, h.View(func(tx *Tx) error {
				_, ok := tx.ByHandle("BBBBBBBB")
				require.False(t, ok, "the versions go with it")
				return nil
			}))
		})
	}
}

// A reader that has the file open keeps its bytes; the name gets another inode (invariant 5).
func TestNewVersionWhileOpen(t *testing.T) {
	h := newHouse(t)
	h.apply(folder("DDDDDDDD", rootH, "d"), file("AAAAAAAA", rootH, "x"), file("00000000", "AAAAAAAA", "x"))
	x := h.at("/x")
	h.move(x.Ino, h.at("/d").Ino, "mine")
	h.pend(x.Ino, PendingAttrs, func(in *Inode) { in.Mode, in.HasMode = 0o755, true })
	h.open[x.Ino] = true
	h.apply(newVersion("BBBBBBBB", "AAAAAAAA", rootH, "x")...)
	h.check()
	old, now := h.get(x.Ino), h.at("/d/mine")
	require.NotEqual(t, x.Ino, now.Ino)
	require.True(t, old.Removed)
	require.Nil(t, old.Cloud)
	require.Equal(t, "AAAAAAAA", string(old.Base.Handle))
	require.Equal(t, x.Size, old.Size)
	require.Equal(t, "BBBBBBBB", string(now.Cloud.Handle))
	require.Equal(t, 2, now.Cloud.Versions)
	require.Equal(t, PendingPlace|PendingAttrs, now.Pending, "what was pending of the name stays with it")
	require.Equal(t, uint32(0o755), now.Mode)
}

// Pending content keeps its base; the shadow moves on, so that whoever sends it sees the conflict.
func TestNewVersionOverPendingContent(t *testing.T) {
	h := newHouse(t)
	h.apply(file("AAAAAAAA", rootH, "x"))
	x := h.at("/x")
	h.pend(x.Ino, PendingContent, func(in *Inode) { in.Size = 7 })
	h.open[x.Ino] = true
	h.apply(newVersion("BBBBBBBB", "AAAAAAAA", rootH, "x")...)
	h.check()
	in := h.at("/x")
	require.Equal(t, x.Ino, in.Ino)
	require.Equal(t, int64(7), in.Size)
	require.Equal(t, x.Base, in.Base)
	require.Equal(t, "BBBBBBBB", string(in.Cloud.Handle))
	require.Equal(t, PendingContent, in.Pending)
}

func TestNewVersionOfWhatWasRemovedHere(t *testing.T) {
	h := newHouse(t)
	h.apply(file("AAAAAAAA", rootH, "x"))
	x := h.at("/x").Ino
	h.unlink(x)
	h.apply(newVersion("BBBBBBBB", "AAAAAAAA", rootH, "x")...)
	h.check()
	require.NotEqual(t, x, h.at("/x").Ino, "the delete is dropped")
	require.Zero(t, h.get(x).Pending)
}

func TestOwnVersion(t *testing.T) {
	h := newHouse(t)
	h.apply(file("AAAAAAAA", rootH, "x"))
	x := h.at("/x").Ino
	h.pend(x, PendingContent, nil)
	h.keys[string(nodeKey("BBBBBBBB", 32))] = x
	h.open[x] = true
	h.apply(newVersion("BBBBBBBB", "AAAAAAAA", rootH, "x")...)
	h.check()
	in := h.at("/x")
	require.Equal(t, x, in.Ino)
	require.Equal(t, "BBBBBBBB", string(in.Cloud.Handle))
	require.Equal(t, "AAAAAAAA", string(in.Base.Handle), "the base is the writer's to move")
	require.Equal(t, 1, in.Cloud.Versions)
}

// rename(2) over a file: the inode is the temporary file's, the node the target's.
func TestShadowChangesHands(t *testing.T) {
	for name, first := range map[string]bool{"taken first": true, "given first": false} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.apply(file("AAAAAAAA", rootH, "x"), file("00000000", "AAAAAAAA", "x"))
			x := h.at("/x")
			tmp := h.create(DriveIno, "tmp", File)
			h.update(func(tx *Tx) error {
				if first {
					require.NoError(t, tx.SetCloud(x.Ino, nil))
				}
				if !first {
					require.NoError(t, tx.SetCloud(tmp, x.Cloud))
				}
				require.NoError(t, tx.Unlink(x.Ino))
				if first {
					require.NoError(t, tx.SetCloud(tmp, x.Cloud))
				}
				require.NoError(t, tx.Move(tmp, DriveIno, "x"))
				return pend(tx, tmp, PendingContent, func(in *Inode) { in.Pending = PendingContent })
			})
			h.check()
			in := h.at("/x")
			require.Equal(t, tmp, in.Ino)
			require.Equal(t, "AAAAAAAA", string(in.Cloud.Handle))
			require.Equal(t, 1, in.Cloud.Versions)
			old := h.get(x.Ino)
			require.True(t, old.Removed)
			require.Zero(t, old.Pending)
		})
	}
}

// A version that becomes a file of its own again.
func TestVersionComesBack(t *testing.T) {
	h := newHouse(t)
	h.apply(newVersion("BBBBBBBB", "AAAAAAAA", rootH, "x")...)
	h.apply(file("AAAAAAAA", rootH, "restored"))
	h.check()
	require.Equal(t, []string{"restored", "x"}, h.names(DriveIno))
	require.Zero(t, h.at("/x").Cloud.Versions)
}

// Who says that two files are each other's older version is refused once.
func TestVersionCycle(t *testing.T) {
	h := newHouse(t)
	h.apply(file("AAAAAAAA", rootH, "x"), file("BBBBBBBB", rootH, "y"))
	h.apply(file("AAAAAAAA", "BBBBBBBB", "x"))
	h.check()
	h.update(func(tx *Tx) error {
		require.ErrorIs(t, tx.ApplyNode(file("BBBBBBBB", "AAAAAAAA", "y"), ""), ErrCircular)
		return nil
	})
	h.check()
}
