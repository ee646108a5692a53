package megatest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

func TestSameIDAndBodyIsDoneOnce(t *testing.T) {
	now := time.Unix(1700000000, 0)
	s := newServer(t, megatest.WithRequestIDLifetime(time.Minute), megatest.WithClock(func() time.Time { return now }))
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	cmd := object{"a": "p", "t": a.Root(), "n": []any{c.folder("x")}}
	first := c.batch("id", cmd)
	require.Equal(t, first, c.batch("id", cmd))
	require.Len(t, a.Tree(), 1)
	require.Equal(t, 1, s.Stats().Replayed)
	c.batch("other", cmd)
	require.Len(t, a.Tree(), 2, "another id is another request")
	c.batch("id", object{"a": "ug"})
	second := login(t, s, a)
	second.batch("id", cmd)
	require.Len(t, a.Tree(), 3, "another session is another request")
	now = now.Add(2 * time.Minute)
	c.batch("id", cmd)
	require.Len(t, a.Tree(), 4, "the answer was forgotten")
	s.Faults().ForgetRequestIDs()
	c.batch("id", cmd)
	require.Len(t, a.Tree(), 5)
	s.Faults().SetRequestIDLifetime(0)
	c.batch("id", cmd)
	require.Len(t, a.Tree(), 6)
}

func TestTryAgainIsNotKept(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	f := s.Faults()
	cmd := object{"a": "p", "t": a.Root(), "n": []any{c.folder("x")}}
	f.FailBatch("", -3, 1)
	require.Equal(t, -3.0, c.batch("id", cmd))
	f.FailBatch("p", -4, 1)
	require.Equal(t, -4.0, c.batch("id", cmd))
	f.FailHTTP(megatest.API, 500, 1)
	status, _ := c.post("/cs?id=id"+c.query(), "[]")
	require.Equal(t, 500, status)
	f.FailCommand("p", -3, 1)
	require.Equal(t, []any{-3.0}, c.batch("id", cmd))
	require.Empty(t, a.Tree())
	require.IsType(t, object{}, c.batch("id", cmd).([]any)[0])
	require.Len(t, a.Tree(), 1)
}

func TestReplayWaitsForTheFirst(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	release := s.Faults().Hold("p")
	cmd := object{"a": "p", "t": a.Root(), "n": []any{c.folder("x")}}
	answers := make(chan any, 2)
	for range 2 {
		go func() { answers <- c.batch("id", cmd) }()
	}
	require.NoError(t, s.Await(soon(t), func(n megatest.Stats) bool { return n.Held == 1 && n.Batches >= 4 }))
	_, busy := c.post("/cs?wlt=1"+c.query(), "")
	require.Equal(t, "0", string(busy))
	release()
	require.Equal(t, <-answers, <-answers)
	require.Len(t, a.Tree(), 1)
	_, busy = c.post("/cs?wlt=1"+c.query(), "")
	require.Equal(t, "1", string(busy))
}

// A batch of which one command was told to try again is kept: the others were executed.
func TestTryAgainOfOneCommandIsKept(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	s.Faults().FailCommand("p", -3, 1)
	x := object{"a": "p", "t": a.Root(), "n": []any{c.folder("x")}}
	y := object{"a": "p", "t": a.Root(), "n": []any{c.folder("y")}}
	first := c.batch("id", x, y)
	require.Equal(t, -3.0, first.([]any)[0])
	require.Equal(t, first, c.batch("id", x, y))
	require.Len(t, a.Tree(), 1)
}
