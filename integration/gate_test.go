package integration

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// gate stands before a server, on an address of its own: closed, there is nobody at that address.
type gate struct {
	t      *testing.T
	server string // host and port
	addr   string

	mu       sync.Mutex
	listener net.Listener          // GUARDED_BY(mu); nil: closed
	conns    map[net.Conn]struct{} // GUARDED_BY(mu)
	work     sync.WaitGroup
}

func newGate(t *testing.T, s *megatest.Server) *gate {
	t.Helper()
	// Not at 127.0.0.1, from which everybody connects: while it is closed, its port must not be taken for that.
	g := &gate{t: t, server: strings.TrimPrefix(s.URL(), "http://"), addr: "127.0.0.2:0", conns: map[net.Conn]struct{}{}}
	g.open()
	t.Cleanup(func() { g.close(); g.work.Wait() })
	return g
}

func (g *gate) url() string { return "http://" + g.addr }

// open lets be connected to.
func (g *gate) open() {
	g.t.Helper()
	l, err := net.Listen("tcp", g.addr)
	require.NoError(g.t, err)
	g.mu.Lock()
	g.listener, g.addr = l, l.Addr().String()
	g.mu.Unlock()
	g.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.work.Go(func() { g.pass(c) })
		}
	})
}

// close breaks all connections and refuses new ones.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		g.listener.Close()
		g.listener = nil
	}
	for c := range g.conns {
		c.Close()
	}
}

// keep notes a connection; false: the gate was closed meanwhile.
func (g *gate) keep(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[c] = struct{}{}
	return g.listener != nil
}

func (g *gate) pass(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", g.server)
	if err != nil {
		return
	}
	defer s.Close()
	if !g.keep(c) || !g.keep(s) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(s, c)
		s.Close()
	}()
	_, _ = io.Copy(c, s)
	c.Close()
	<-done
}
