package tree

import (
	"context"
	"testing"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever comes and goes in whatever order, the names are those of a tree that hears at once what is there.
func TestNamesFollowFromWhatIsThere(t *testing.T) {
	changed, atOnce := newHouse(t), newHouse(t)
	handles := []megaclient.Handle{"AAAAAAAA", "BBBBBBBB", "CCCCCCCC", "DDDDDDDD"}
	names := []string{"b", "b (BBBBBBBB)", "b (BBBBBBBB-2)", "b (CCCCCCCC)"}
	rapid.Check(t, func(rt *rapid.T) {
		for _, h := range []*house{changed, atOnce} {
			h.t = rt
			defer func() { h.t = t }()
			h.wipe()
			h.fetch()
		}
		there := map[megaclient.Handle]*megaclient.Node{}
		for range 12 {
			h := rapid.SampledFrom(handles).Draw(rt, "handle")
			name := rapid.SampledFrom(names).Draw(rt, "name")
			switch n := there[h]; {
			case rapid.IntRange(0, 3).Draw(rt, "what") == 0:
				changed.fleeting(name)
			case n == nil:
				there[h] = created(file(h, rootH, name), rapid.Int64Range(1, 3).Draw(rt, "created"))
				changed.apply(copyOf(there[h]))
			case rapid.Bool().Draw(rt, "remove"):
				delete(there, h)
				changed.removeNode(h)
			default:
				n.Attrs = attrs(name, 1_600_000_000)
				changed.apply(copyOf(n))
			}
			changed.check()
		}
		var nodes []*megaclient.Node
		for _, n := range there {
			nodes = append(nodes, copyOf(n))
		}
		atOnce.fetch(nodes...)
		require.Equal(rt, atOnce.places(), changed.places())
	})
}

func copyOf(n *megaclient.Node) *megaclient.Node { c := *n; return &c }

// fleeting takes a name here, if it is free, and gives it back.
func (h *house) fleeting(name string) {
	in := Inode{Parent: DriveIno, Kind: File, Name: name}
	if err := h.Update(context.Background(), func(tx *Tx) error { return tx.Create(&in) }); err != nil {
		require.ErrorIs(h.t, err, ErrExist)
		return
	}
	h.unlink(in.Ino)
}

// places gives the name under which each node of the drive is shown.
func (h *house) places() map[megaclient.Handle]string {
	list, err := h.ReadDir(DriveIno, "", 0)
	require.NoError(h.t, err)
	at := map[megaclient.Handle]string{}
	for _, in := range list {
		at[in.Cloud.Handle] = in.Name
	}
	return at
}

// A name that was taken for a moment is gone back to, and who knows the folder hears of it.
func TestDoubleGoesBackToItsFirstName(t *testing.T) {
	h := newHouse(t)
	h.apply(file("BBBBBBBB", rootH, "b (CCCCCCCC)"))
	h.apply(created(file("AAAAAAAA", rootH, "b"), 1), created(file("CCCCCCCC", rootH, "b"), 2))
	require.Equal(t, []string{"b", "b (CCCCCCCC)", "b (CCCCCCCC-2)"}, h.names(DriveIno))
	double := h.at("/b (CCCCCCCC-2)").Ino
	h.takeChanges()
	h.removeNode("BBBBBBBB")
	require.Equal(t, double, h.at("/b (CCCCCCCC)").Ino)
	h.absent("/b (CCCCCCCC-2)")
	told := map[string]bool{}
	for _, c := range h.takeChanges() {
		if c.Dir == DriveIno {
			told[c.Name] = true
		}
	}
	require.Equal(t, map[string]bool{"b (CCCCCCCC)": true, "b (CCCCCCCC-2)": true}, told)
}

func TestDoubleHandles(t *testing.T) {
	for name, want := range map[string][]megaclient.Handle{
		"b (AAAAAAAA)":       {"AAAAAAAA"},
		"b.c (AAAAAAAA).txt": {"AAAAAAAA"},
		"b (AAAAAAAA-2)":     {"AAAAAAAA-2", "AAAAAAAA"},
		"b (AAA-AAA-)":       {"AAA-AAA-", "AAA-AAA"},
		"b (x) (AAAAAAAA)":   {"AAAAAAAA"},
		"b":                  nil,
		"":                   nil,
	} {
		require.Equal(t, want, doubleHandles(name), name)
	}
}
