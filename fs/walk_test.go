package fs

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// folderOf has files whose order by name is not that by number, and a folder in between.
func folderOf(n int) (list []tree.Inode) {
	for i := range n {
		kind := tree.File
		if i == 5 {
			kind = tree.Dir
		}
		list = append(list, tree.Inode{Ino: tree.Ino(100 + i*7919%n), Kind: kind, Parent: 50})
	}
	return list
}

type walkTest struct {
	*walks
	lists   int
	fetched []tree.Ino
	calls   int
}

func newWalkTest(list []tree.Inode) *walkTest {
	w := &walkTest{}
	rows := map[tree.Ino]tree.Inode{}
	for _, in := range list {
		rows[in.Ino] = in
	}
	w.walks = &walks{
		get: func(ino tree.Ino) (tree.Inode, error) {
			if in, ok := rows[ino]; ok {
				return in, nil
			}
			return tree.Inode{}, tree.ErrStale
		},
		list: func(tree.Ino, string, int) ([]tree.Inode, error) { w.lists++; return list, nil },
	}
	w.prefetch = func(next []tree.Ino) { w.fetched = append(w.fetched, next...); w.calls++ }
	return w
}

func (w *walkTest) reads(inos ...tree.Ino) {
	for _, ino := range inos {
		if next := w.step(ino); len(next) > 0 {
			w.prefetch(next)
		}
	}
}

func filesOf(list []tree.Inode) (names []tree.Ino) {
	for _, in := range list {
		if in.Kind == tree.File {
			names = append(names, in.Ino)
		}
	}
	return names
}

func TestWalkInEitherOrderIsRecognised(t *testing.T) {
	const n = 1000
	list := folderOf(n)
	names := filesOf(list)
	numbers := make([]tree.Ino, 0, n)
	for ino := tree.Ino(100); ino < 100+n; ino++ {
		if ino != list[5].Ino {
			numbers = append(numbers, ino)
		}
	}
	for what, order := range map[string][]tree.Ino{"names": names, "numbers": numbers} {
		w := newWalkTest(list)
		w.reads(order...)
		require.Equal(t, order[len(order)-len(w.fetched):], w.fetched, "%s: each once, in order, to the end", what)
		require.GreaterOrEqual(t, len(w.fetched), n-5, what)
		require.Less(t, w.calls, n/20, "%s: many at once", what)
		require.Equal(t, 1, w.lists, what)
	}
}

func TestWalkThatLeavesOutSome(t *testing.T) {
	list := folderOf(500)
	w := newWalkTest(list)
	for i, ino := range filesOf(list) {
		if i%3 == 0 {
			w.reads(ino)
		}
	}
	require.Greater(t, len(w.fetched), 400)
}

func TestReadsHereAndThereAreNoWalk(t *testing.T) {
	list := folderOf(2000)
	names := filesOf(list)
	w := newWalkTest(list)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		w.reads(names[rng.IntN(len(names))])
	}
	require.Less(t, len(w.fetched), 20)
	w = newWalkTest(list)
	for range 100 {
		w.reads(names[3], names[3], 999999)
	}
	require.Empty(t, w.fetched)
}

// A walk fetches little before it has gone on for a while: what a viewer of three pictures wastes is bounded.
func TestWalkBeginsNarrow(t *testing.T) {
	list := folderOf(500)
	names := filesOf(list)
	w := newWalkTest(list)
	w.reads(names[:3]...)
	require.Equal(t, names[3:3+walkFirst], w.fetched)
	w.reads(names[3:20]...)
	require.LessOrEqual(t, len(w.fetched), 40)
}

func TestWalkGoesOnAfterAnotherListing(t *testing.T) {
	list := folderOf(300)
	names := filesOf(list)
	w := newWalkTest(list)
	w.reads(names[:100]...)
	before := len(w.fetched)
	w.folders[0].relist(list[50:])
	w.reads(names[100:]...)
	require.Greater(t, len(w.fetched), before+150)
}

func TestWalksInTheBackground(t *testing.T) {
	list := folderOf(200)
	w := newWalkTest(list)
	for _, ino := range filesOf(list) {
		w.read(ino)
	}
	w.stop()
	w.read(list[0].Ino)
	require.Empty(t, w.reads2())
	new(walks).read(1)
}

func (w *walkTest) reads2() []tree.Ino { return w.walks.reads }
