package megatest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"megadisk/megaclient/megatest"
)

func TestCloseEndsEverything(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := megatest.NewServer()
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	answer, _ := c.fetch()
	h := a.PutFile(a.Root(), "f", make([]byte, 100_000), zero)
	s.Faults().Hold("uq")
	s.Faults().StallDownloads(10, 1)
	_, sn := c.packets(answer["sn"].(string))
	waits := idle(t, c, sn)
	url := c.downloadURL(h) + "/0-99999"
	done := make(chan error, 2)
	for _, do := range []func() error{
		func() error { _, _, err := c.tryPost("/cs?id=1"+c.query(), `[{"a":"uq"}]`); return err },
		func() error { _, _, err := c.tryPost(url, ""); return err },
	} {
		go func() { done <- do() }()
	}
	require.NoError(t, s.Await(soon(t), func(n megatest.Stats) bool { return n.Held == 1 && n.Downloads == 1 }))
	s.Close()
	s.Close() // twice is fine
	require.Error(t, <-done)
	require.Error(t, <-done)
	require.NotEqual(t, "0", <-waits)
	c.http.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}
