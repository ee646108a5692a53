package megatest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// pace lets through so many bytes per second. The zero value lets everything through.
type pace struct {
	mu   sync.Mutex
	next time.Time // when the next byte may go. GUARDED_BY(mu)
}

// take books n bytes at rate bytes per second and returns how long to wait.
func (p *pace) take(n int, rate int64, now time.Time) time.Duration {
	if rate <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(int64(n) * int64(time.Second) / rate))
	return p.next.Sub(now)
}

// shaper limits the bandwidth of all connections of a server.
type shaper struct {
	ctx            context.Context
	perConn, total atomic.Int64
	allUp, allDown pace
}

func newShaper(ctx context.Context) *shaper { return &shaper{ctx: ctx} }

func (s *shaper) set(perConn, total int64) {
	s.perConn.Store(perConn)
	s.total.Store(total)
}

func (s *shaper) listen(l net.Listener) net.Listener { return shapedListener{l, s} }

// wait lets n bytes pass in the pace of both limits.
func (s *shaper) wait(n int, own, all *pace) {
	now := time.Now()
	d := max(own.take(n, s.perConn.Load(), now), all.take(n, s.total.Load(), now))
	if d < time.Millisecond {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}

// piece is how many bytes go at once: those of two milliseconds of the narrower limit. A wire passes on packets as they come;
// larger pieces would keep the first byte until the last of its piece may go.
func (s *shaper) piece() int {
	rate := s.perConn.Load()
	if total := s.total.Load(); rate == 0 || total > 0 && total < rate {
		rate = total
	}
	if rate == 0 {
		return 0
	}
	return int(min(max(rate/500, 1<<10), 64<<10))
}

type shapedListener struct {
	net.Listener
	s *shaper
}

func (l shapedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &shapedConn{Conn: c, s: l.s}, nil
}

// shapedConn is one connection with its own pace in each direction.
type shapedConn struct {
	net.Conn
	s        *shaper
	up, down pace
	narrow   sync.Once
}

// narrowBuffers keeps the kernel from hiding the limit in large socket buffers.
func (c *shapedConn) narrowBuffers() {
	c.narrow.Do(func() {
		if t, isTCP := c.Conn.(*net.TCPConn); isTCP {
			_ = t.SetReadBuffer(64 << 10)
			_ = t.SetWriteBuffer(64 << 10)
		}
	})
}

func (c *shapedConn) Read(p []byte) (int, error) {
	size := c.s.piece()
	if size == 0 {
		return c.Conn.Read(p)
	}
	c.narrowBuffers()
	n, err := c.Conn.Read(p[:min(len(p), size)])
	if n > 0 {
		c.s.wait(n, &c.up, &c.s.allUp)
	}
	return n, err
}

func (c *shapedConn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		size := c.s.piece()
		if size == 0 {
			n, err := c.Conn.Write(p[done:])
			return done + n, err
		}
		c.narrowBuffers()
		size = min(size, len(p)-done)
		c.s.wait(size, &c.down, &c.s.allDown)
		n, err := c.Conn.Write(p[done : done+size])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
