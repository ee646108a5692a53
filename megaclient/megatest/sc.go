package megatest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// serveSC answers one poll of the event channel in the old dialect (PROTOCOL 8.1): the packets since sn,
// or the URL that blocks until there are some.
func (s *Server) serveSC(a *answer, r *http.Request) {
	q := r.URL.Query()
	if q.Get("c") != "" {
		a.text("{}")
		return
	}
	s.stats.count(func(n *Stats) { n.Polls++ })
	if !s.faults.beforePoll(a) {
		return
	}
	body, failure := s.poll(q, s.base(r))
	if failure != ok {
		a.json(codeBody(failure))
		return
	}
	a.json(body)
}

// poll makes the answer of sc.
func (s *Server) poll(q url.Values, base string) ([]byte, code) {
	v, failure := s.viewerOf(q, nil)
	if failure != ok {
		return nil, failure
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.user == nil && v.link == nil {
		return nil, eSid
	}
	seq, valid := parseSN(q.Get("sn"))
	if !valid {
		return nil, eArgs
	}
	f := v.feed()
	seq = s.faults.redeliver(f, seq)
	slice := s.faults.slice(s.opt.sliceLimit)
	packets, next, more, found := f.after(seq, slice)
	if !found {
		return nil, eTooMany
	}
	if len(packets) == 0 {
		return mustJSON(map[string]string{"w": base + "/w/" + waitKey(v) + "/" + formatSN(seq)}), ok
	}
	b := []byte(`{"a":[`)
	for i, p := range packets {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, p...)
	}
	b = append(b, ']')
	if more {
		b = append(b, `,"ir":1`...)
	}
	b = append(b, `,"sn":"`...)
	b = append(b, formatSN(next)...)
	return append(b, `"}`...), ok
}

// waitKey names v in a wait URL, which must not hold a question mark.
func waitKey(v viewer) string {
	if v.link != nil {
		return "n" + v.link.ph
	}
	return "s" + v.session.sid
}

// serveWait blocks until there are packets after the sn in the path, the session ends, or the wait
// time is over; then it answers "0", or the code of an ended session.
func (s *Server) serveWait(a *answer, r *http.Request, rest string) {
	if s.faults.httpFault(a, Waits) {
		return
	}
	key, sn, _ := strings.Cut(rest, "/")
	if q := r.URL.Query().Get("sn"); q != "" {
		sn = q
	}
	seq, valid := parseSN(sn)
	if !valid || key == "" {
		a.status(http.StatusNotFound)
		return
	}
	q := url.Values{"sid": {key[1:]}}
	if key[0] == 'n' {
		q = url.Values{"n": {key[1:]}}
	}
	s.stats.count(func(n *Stats) { n.Waiting++ })
	defer s.stats.count(func(n *Stats) { n.Waiting-- })
	a.text(strconv.Itoa(int(s.wait(r, q, seq))))
}

func (s *Server) wait(r *http.Request, q url.Values, seq uint64) code {
	over := time.NewTimer(s.opt.waitTime)
	defer over.Stop()
	for {
		v, failure := s.viewerOf(q, nil)
		if failure != ok {
			return failure
		}
		s.mu.Lock()
		f := v.feed()
		ready, changed := f.seq() != seq, f.changed
		s.mu.Unlock()
		if ready {
			return ok
		}
		select {
		case <-changed:
		case <-over.C:
			return ok
		case <-r.Context().Done():
			return ok
		case <-s.ctx.Done():
			panic(http.ErrAbortHandler)
		}
	}
}
