package tree

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
)

// longText is what a hundred nodes can't have in one transaction.
var longText = strings.Repeat("x", 20<<10)

func longNode(i int, parent megaclient.Handle) *megaclient.Node {
	n := file(handle(i), parent, fmt.Sprintf("f%d", i))
	n.Attrs.SetString("x", longText)
	return n
}

// Many nodes whose attributes are long get their names when their key comes, in as many transactions as that takes.
func TestManyNodesWithMuchTextAreUnlocked(t *testing.T) {
	const nodes = 100
	h := newHouse(t)
	for i := range nodes {
		n := longNode(i, rootH)
		n.Key, n.RawKey, n.Attrs, n.RawAttrs = nil, "key", nil, longText
		h.apply(n)
	}
	h.unlock = func(n *megaclient.Node) bool {
		n.Key, n.Attrs = nodeKey(n.Handle, 32), attrs(string(n.Handle), 0)
		n.Attrs.SetString("x", longText)
		return true
	}

	unlocked, err := h.Unlock(context.Background())
	require.NoError(t, err)
	require.Equal(t, nodes, unlocked)
	require.Len(t, h.names(DriveIno), nodes)
	h.check()
}

// So do those that wait for the folder that they are in.
func TestManyOrphansWithMuchTextAreAdopted(t *testing.T) {
	const nodes = 100
	h := newHouse(t)
	for i := range nodes {
		h.apply(longNode(i, "FOLDERAA"))
	}

	h.apply(folder("FOLDERAA", rootH, "d"))
	require.Len(t, h.names(h.at("/d").Ino), nodes)
	h.check()
}

// Half a move of what can't go, a top folder, is forgotten.
func TestHalfAMoveOfATopFolder(t *testing.T) {
	h := newHouse(t)
	h.update(func(tx *Tx) error { return tx.ApplyRemove(rootH, true) })
	h.update(func(tx *Tx) error { return tx.DropHalves() })
	h.update(func(tx *Tx) error { require.False(t, tx.MoveBegun(rootH)); return nil })
	h.check()
}

// Many nodes in a folder that was removed here wait for it, and keep nobody busy meanwhile.
func TestManyOrphansOfARemovedFolderWait(t *testing.T) {
	h := newHouse(t)
	h.own["ours"] = true
	h.apply(folder("FOLDERAA", rootH, "d"))
	h.unlink(h.at("/d").Ino)
	for i := range adoptAtOnce + 1 {
		h.update(func(tx *Tx) error { return tx.ApplyNode(file(handle(i), "FOLDERAA", fmt.Sprintf("f%d", i)), "ours") })
	}

	h.update(func(tx *Tx) error { return tx.ApplyNode(folder("FOLDERAA", rootH, "d"), "ours") })
	require.Empty(t, h.names(DriveIno))
	h.check()
}
