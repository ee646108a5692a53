package megaclient

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// climb lets a link whose throughput grows by perConnection up to best run for some windows.
func climb(k *climber, windows int, wanted bool, perConnection, best float64) {
	for range windows {
		k.window(min(float64(k.limit)*perConnection, best), wanted)
	}
}

func TestClimberFindsWhatHelps(t *testing.T) {
	for name, c := range map[string]struct {
		start        int
		wanted       bool
		best         float64
		least, most  int
		afterTrouble int
	}{
		"more always helps":        {16, true, 1e9, 16, 16, 8},
		"the line is full at once": {16, true, 8, 8, 9, 4},
		"the line is full at 12":   {16, true, 12, 12, 13, 6},
		"nobody waits":             {16, false, 1e9, 8, 8, 4},
		"a low setting is kept":    {3, true, 1e9, 3, 3, 1},
		"a single one":             {1, true, 1e9, 1, 1, 1},
		"a high setting":           {20, true, 1e9, 20, 20, 10},
	} {
		k := newClimber(c.start)
		climb(&k, 25, c.wanted, 1, c.best)
		require.GreaterOrEqual(t, k.limit, c.least, name)
		require.LessOrEqual(t, k.limit, c.most, name)
		k.trouble()
		require.GreaterOrEqual(t, k.limit, c.afterTrouble, name)
		require.LessOrEqual(t, k.limit, max(1, c.most/2), name)
		climb(&k, troubleHold, true, 1, 1e9)
		require.LessOrEqual(t, k.limit, max(1, c.most/2), name)
		climb(&k, 500, true, 1, 1e9)
		require.GreaterOrEqual(t, k.limit, min(c.start, mostConnections), "%s: it recovers", name)
	}
}

func TestGateKeepsTheOrderAndTheLimit(t *testing.T) {
	g := newGate(2, time.Hour)
	require.NoError(t, g.enter(t.Context(), ""))
	require.NoError(t, g.enter(t.Context(), ""))
	first, err := g.queue(t.Context(), "")
	require.NoError(t, err)
	second, err := g.queue(t.Context(), "")
	require.NoError(t, err)
	require.False(t, closed(first))
	g.leave()
	require.True(t, closed(first))
	require.False(t, closed(second))
	g.withdraw(first) // as if its turn had come too late
	require.True(t, closed(second))
	third, err := g.queue(t.Context(), "")
	require.NoError(t, err)
	g.withdraw(third)
	g.leave()
	g.leave()
	require.Zero(t, g.inUse)
	require.Empty(t, g.waiting)
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestGateEndsWithTheContext(t *testing.T) {
	g := newGate(1, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, g.enter(ctx, ""))
	result := make(chan error)
	go func() { result <- g.enter(ctx, "") }()
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	require.ErrorIs(t, g.enter(ctx, ""), context.Canceled)
	g.leave()
	require.NoError(t, g.enter(t.Context(), ""))
}

// Many connections that fail at once are one trouble.
func TestGateCountsTroubleOnce(t *testing.T) {
	g := newGate(8, time.Hour)
	for range 8 {
		g.trouble()
	}
	require.Equal(t, 4, g.width())
}

func TestCutPieces(t *testing.T) {
	for _, c := range []struct {
		size        int64
		have        []int
		connections int
		want        []piece
	}{
		{0, nil, 8, []piece{{0, -1, 0, 0}}},
		{1, nil, 8, []piece{{0, 0, 0, 1}}},
		{131073, nil, 8, []piece{{0, 0, 0, 131072}, {1, 1, 131072, 131073}}},
		{786432, nil, 1, []piece{{0, 1, 0, 393216}, {2, 2, 393216, 786432}}},
		{786432, []int{1}, 1, []piece{{0, 0, 0, 131072}, {2, 2, 393216, 786432}}},
		{786432, []int{0, 1, 2}, 1, []piece{{2, 2, 393216, 786432}}}, // only the token is missing
	} {
		st := &UploadState{Size: c.size}
		for _, i := range c.have {
			st.Chunks = append(st.Chunks, UploadedChunk{Index: i})
		}
		require.Equal(t, c.want, st.cutPieces(c.connections), c.size)
	}
	st := &UploadState{Size: 1 << 30}
	at := int64(0)
	for _, p := range st.cutPieces(8) {
		require.Equal(t, at, p.start)
		require.LessOrEqual(t, p.end-p.start, int64(maxPiece))
		at = p.end
	}
	require.Equal(t, st.Size, at)
}

// What Get fetches at once are whole chunks, together the file, each piece no longer than it may be.
func TestGetPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 1<<28).Draw(t, "size")
		most := rapid.Int64Range(1, maxPiece).Draw(t, "most")
		g := &getting{node: &Node{Size: size}, most: most}
		p := g.pieceFrom(0)
		for at := int64(0); at < size; p = g.pieceFrom(p.last + 1) {
			require.Equal(t, at, p.start)
			require.Greater(t, p.end, p.start)
			require.True(t, p.end-p.start <= most || p.first == p.last, "%+v", p)
			at = p.end
		}
		require.Equal(t, size, p.start, "an empty piece behind the end")
	})
}

func TestPieceAnswers(t *testing.T) {
	token := make([]byte, tokenLength)
	token[0] = '-'
	got, err := readPieceAnswer(token)
	require.NoError(t, err)
	require.Len(t, got, 48)
	for _, taken := range []string{"", "0", "0\n"} {
		got, err := readPieceAnswer([]byte(taken))
		require.NoError(t, err)
		require.Empty(t, got)
	}
	_, err = readPieceAnswer([]byte("-14"))
	require.ErrorIs(t, err, EKEY)
	for _, nonsense := range []string{"1", "<html>no</html>", "-", "-1x"} {
		_, err := readPieceAnswer([]byte(nonsense))
		require.ErrorIs(t, err, ErrBadAnswer, nonsense)
	}
}
