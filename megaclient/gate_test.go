package megaclient

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// turns asks for a connection for each of some files and returns their turns.
func turns(t *testing.T, g *gate, files ...Handle) (list []chan struct{}) {
	t.Helper()
	for _, f := range files {
		turn, err := g.queue(t.Context(), f)
		require.NoError(t, err)
		list = append(list, turn)
	}
	return list
}

// A file of which much is asked for doesn't keep another waiting for all of it.
func TestFilesTakeTurns(t *testing.T) {
	g := newGate(1, time.Hour)
	require.NoError(t, g.enter(t.Context(), "film"))
	all := turns(t, g, "film", "film", "film", "other", "other", "third")
	for _, next := range []int{0, 3, 5, 1, 4, 2} {
		require.False(t, closed(all[next]))
		g.leave()
		require.True(t, closed(all[next]), "%d", next)
	}
	g.leave()
	require.Zero(t, g.inUse)
}

// What somebody waits for goes before what nobody does, and that keeps its place for when it is its turn or is needed.
func TestWhatNobodyWaitsForYields(t *testing.T) {
	g := newGate(1, time.Hour)
	require.NoError(t, g.enter(t.Context(), "film"))
	need := make(chan struct{})
	var ahead []chan struct{}
	for range 3 {
		turn, err := g.queue(Yielding(t.Context(), need), "film")
		require.NoError(t, err)
		ahead = append(ahead, turn)
	}
	urgent := turns(t, g, "film", "film")
	g.leave()
	require.True(t, closed(urgent[0]))
	g.leave()
	require.True(t, closed(urgent[1]))
	g.leave()
	require.True(t, closed(ahead[0]), "nobody else is there")
	late := turns(t, g, "film")
	close(need)
	g.leave()
	require.True(t, closed(ahead[1]))
	g.leave()
	require.True(t, closed(ahead[2]))
	g.leave()
	require.True(t, closed(late[0]))
	g.leave()
	require.Zero(t, g.inUse)
}

// What nobody waits for leaves places to what somebody does, and takes one of them as soon as it is needed.
func TestWhatNobodyWaitsForLeavesPlaces(t *testing.T) {
	g := newGate(3, time.Hour)
	g.spare = 1
	need := make(chan struct{})
	ahead := Yielding(t.Context(), need)
	require.NoError(t, g.enter(ahead, "film"))
	require.NoError(t, g.enter(ahead, "film"))
	third := make(chan error, 1)
	go func() { third <- g.enter(ahead, "film") }()
	require.Eventually(t, func() bool { return g.queued() == 1 }, time.Minute, time.Millisecond)
	require.NoError(t, g.enter(t.Context(), "other"))
	g.leave()
	require.Equal(t, 1, g.queued(), "the place is for others")
	close(need)
	require.NoError(t, <-third)
	for range 3 {
		g.leave()
	}
	require.Zero(t, g.inUse)
}
