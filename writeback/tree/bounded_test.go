package tree

import (
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

// Half a move of what can't go, a top folder, is forgotten.
func TestHalfAMoveOfATopFolder(t *testing.T) {
	h := newHouse(t)
	h.update(func(tx *Tx) error { return tx.ApplyRemove(rootH, true) })
	h.update(func(tx *Tx) error { return tx.DropHalves() })
	h.update(func(tx *Tx) error { require.False(t, tx.MoveBegun(rootH)); return nil })
	h.check()
}
