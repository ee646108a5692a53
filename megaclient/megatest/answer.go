package megatest

import (
	"compress/gzip"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer writes one HTTP response: after the latency that was asked for, compressed when the client
// takes it, counted.
type answer struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	started bool
	gz      *gzip.Writer
}

func (s *Server) newAnswer(w http.ResponseWriter, r *http.Request) *answer {
	return &answer{s: s, w: w, r: r}
}

// begin waits for the latency and writes the status line.
func (a *answer) begin(status int) {
	if a.started {
		return
	}
	a.started = true
	if d := a.s.faults.latency(); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-a.s.ctx.Done():
			panic(http.ErrAbortHandler)
		}
	}
	a.w.WriteHeader(status)
}

// text answers 200 with a body that is never compressed.
func (a *answer) text(body string) {
	a.w.Header().Set("Content-Type", "text/plain")
	a.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	a.begin(http.StatusOK)
	_, _ = a.w.Write([]byte(body))
}

// status answers with an HTTP status and no body.
func (a *answer) status(status int) {
	a.w.Header().Set("Content-Length", "0")
	a.begin(status)
}

// json answers 200 with a whole JSON body.
func (a *answer) json(body []byte) {
	a.startJSON(len(body))
	_, _ = a.Write(body)
}

// startJSON begins a JSON body, of unknown size if size is negative.
func (a *answer) startJSON(size int) {
	h := a.w.Header()
	h.Set("Content-Type", "application/json")
	if (size < 0 || size > 1400) && strings.Contains(a.r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		a.begin(http.StatusOK)
		a.gz, _ = gzip.NewWriterLevel(a.w, gzip.BestSpeed)
		return
	}
	if size >= 0 {
		h.Set("Content-Length", strconv.Itoa(size))
	}
	a.begin(http.StatusOK)
}

// Write writes a part of the body.
func (a *answer) Write(p []byte) (int, error) {
	if a.gz != nil {
		return a.gz.Write(p)
	}
	return a.w.Write(p)
}

// flush lets what was written go out.
func (a *answer) flush() {
	if a.gz != nil {
		_ = a.gz.Flush()
	}
	_ = http.NewResponseController(a.w).Flush()
}

// close completes the body.
func (a *answer) close() {
	if a.gz != nil {
		_ = a.gz.Close()
	}
}

// cut breaks the connection without (another) byte, as a network failure does.
func (a *answer) cut() {
	rc := http.NewResponseController(a.w)
	c, _, err := rc.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if s, isShaped := c.(*shapedConn); isShaped {
		if t, isTCP := s.Conn.(*net.TCPConn); isTCP {
			_ = t.SetLinger(0)
		}
	}
	_ = c.Close()
	panic(http.ErrAbortHandler)
}
