package megaclient_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
)

// storage is a storage server apart from the command server, which names it in all URLs.
type storage struct {
	*httptest.Server
	accepted, requests atomic.Int32
	held               chan struct{} // nil: commands aren't held
	asked              chan struct{}
	api                *stub
}

func newStorage(t *testing.T, start func(*httptest.Server)) *storage {
	s := &storage{asked: make(chan struct{}, 100)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.requests.Add(1)
		_, _ = io.WriteString(w, "x")
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			s.accepted.Add(1)
		}
	}
	start(s.Server)
	t.Cleanup(s.Server.Close)
	s.api = newStub(t, func(w http.ResponseWriter, _ *http.Request, body []byte) {
		s.asked <- struct{}{}
		if s.held != nil {
			<-s.held
		}
		one := fmt.Sprintf(`{"s":1,"g":"%s/dl"}`, s.URL)
		n := bytes.Count(body, []byte(`"a":"g"`))
		_, _ = io.WriteString(w, "["+strings.TrimSuffix(strings.Repeat(one+",", n), ",")+"]")
	})
	return s
}

func (s *storage) addr() string { return s.Listener.Addr().String() }

// eventually waits for what another goroutine does.
func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 30*time.Second, time.Millisecond)
}

func TestConnectionsAreMadeAheadOfNeed(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){
		"http": (*httptest.Server).Start, "https": (*httptest.Server).StartTLS,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStorage(t, start)
			c := s.api.resume(t)
			megaclient.KeepWarm(c, time.Hour)
			if name == "https" {
				megaclient.Trust(c, s.Certificate())
			}
			read := func(n int) error { return c.ReadContent(t.Context(), handleOf(n), 0, 1, io.Discard) }
			require.NoError(t, read(1))
			require.EqualValues(t, 1, s.accepted.Load())
			require.NoError(t, read(2))
			require.EqualValues(t, 1, s.accepted.Load(), "a connection that is open is used")

			s.CloseClientConnections()
			eventually(t, func() bool { return megaclient.OpenTo(c, s.addr()) == 0 })
			s.held = make(chan struct{})
			result := make(chan error, 1)
			go func() { result <- read(3) }()
			eventually(t, func() bool { return megaclient.OpenTo(c, s.addr()) == 1 })
			close(s.held)
			require.NoError(t, <-result)
			require.EqualValues(t, 2, s.accepted.Load(), "what was made while the URL was asked for")
			require.EqualValues(t, 3, s.requests.Load())
		})
	}
}

// URLs that are got ahead of need bring connections to servers that were never talked to, and no request.
func TestPreparedFilesHaveAConnection(t *testing.T) {
	s := newStorage(t, (*httptest.Server).Start)
	c := s.api.resume(t)
	megaclient.KeepWarm(c, time.Hour)
	require.NoError(t, c.PrepareURLs(t.Context(), []megaclient.Handle{handleOf(1), handleOf(2)}))
	eventually(t, func() bool { return s.accepted.Load() == 1 })
	require.Zero(t, s.requests.Load())
	require.NoError(t, c.ReadContent(t.Context(), handleOf(2), 0, 1, io.Discard))
	require.EqualValues(t, 1, s.accepted.Load())
	require.EqualValues(t, 1, s.requests.Load())
}

// What nobody needs is closed again.
func TestConnectionsThatNobodyNeeds(t *testing.T) {
	s := newStorage(t, (*httptest.Server).Start)
	c := s.api.resume(t)
	megaclient.KeepWarm(c, time.Millisecond)
	require.NoError(t, c.PrepareURLs(t.Context(), []megaclient.Handle{handleOf(1)}))
	eventually(t, func() bool { return s.accepted.Load() == 1 && megaclient.OpenTo(c, s.addr()) == 0 })
}

// A server that can't be reached ahead of need is nobody's trouble, and Close leaves nothing behind.
func TestConnectionsMadeInVain(t *testing.T) {
	s := newStorage(t, (*httptest.Server).Start)
	c := s.api.resume(t)
	megaclient.KeepWarm(c, time.Hour)
	require.NoError(t, c.PrepareURLs(t.Context(), []megaclient.Handle{handleOf(1)}))
	eventually(t, func() bool { return megaclient.OpenTo(c, s.addr()) == 1 })
	c.Close()
	eventually(t, func() bool { return megaclient.OpenTo(c, s.addr()) == 0 })

	other := newStorage(t, (*httptest.Server).Start)
	c = other.api.resume(t)
	other.Listener.Close()
	require.NoError(t, c.PrepareURLs(t.Context(), []megaclient.Handle{handleOf(1)}))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.Error(t, c.ReadContent(ctx, handleOf(1), 0, 1, io.Discard))
}
