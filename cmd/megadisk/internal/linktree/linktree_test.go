package linktree

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// Names that several files of a folder have can all stand in a path, also the longest.
func TestNamesAreToldApart(t *testing.T) {
	long := strings.Repeat("x", tree.MaxName-4) + ".txt"
	var folder Node
	for i, name := range []string{"a.txt", "a.txt", "a (HANDLE-B).txt", "a.txt", "a.txt", long, long} {
		handle := megaclient.Handle("HANDLE-" + string(rune('A'+i)))
		if i == 4 {
			handle = "HANDLE-D" // a server may say anything
		}
		folder.Children = append(folder.Children, &Node{Name: name, Node: &megaclient.Node{Handle: handle}})
	}
	folder.tellApart()
	var names []string
	for _, c := range folder.Children {
		names = append(names, c.Name)
	}
	require.Equal(t, []string{
		"a.txt", "a (HANDLE-B).txt", "a (HANDLE-B) (HANDLE-C).txt", "a (HANDLE-D).txt", "a (HANDLE-D-2).txt",
		long, strings.Repeat("x", tree.MaxName-4-len(" (HANDLE-G)")) + " (HANDLE-G).txt",
	}, names)
}
