package megatest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxBatchBytes and maxCommands bound one cs request (PROTOCOL 1.3).
const (
	maxBatchBytes = 64 << 20
	maxCommands   = 10_000
)

// call is one command being executed.
type call struct {
	s      *Server
	viewer viewer
	raw    json.RawMessage
	tag    string // i
	base   string // address for URLs in the answer
}

// parse reads the command's arguments; numbers for strings and the like are refused.
func (c *call) parse(dst any) code {
	if err := json.Unmarshal(c.raw, dst); err != nil {
		return eArgs
	}
	return ok
}

// cause starts the packets of the command.
func (c *call) cause() *cause {
	why := &cause{s: c.s, tag: c.tag}
	if c.viewer.user != nil {
		why.user = c.viewer.user.handle
	}
	return why
}

// handler executes a command under Server.mu. It returns the command's result, or a code.
type handler func(*call) (any, code)

// serveCS executes one batch of commands (PROTOCOL 1.1 to 1.5).
func (s *Server) serveCS(a *answer, r *http.Request) {
	q := r.URL.Query()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBatchBytes))
	if err != nil {
		a.cut()
	}
	if q.Get("wlt") != "" {
		s.stats.count(func(n *Stats) { n.Probes++ })
		a.text(s.lockProbe(q.Get("sid")))
		return
	}
	names := commandNames(body)
	if !s.faults.beforeBatch(a, r, names) {
		return
	}
	v, failure := s.viewerOf(q, names)
	if failure != ok {
		a.json(codeBody(failure))
		return
	}
	s.stats.count(func(n *Stats) { n.Batches++ })
	if len(names) == 1 && names[0] == "f" {
		s.serveTree(a, r, v, body)
		return
	}
	once := func() []byte { return s.once(v, r, q.Get("id"), body) }
	if s.faults.putAside(names, func() { once() }) {
		a.cut()
	}
	reply := once()
	if s.faults.afterBatch(names) {
		a.cut()
	}
	a.json(reply)
}

// once executes the batch unless the same one was executed before: then it returns that answer.
func (s *Server) once(v viewer, r *http.Request, id string, body []byte) []byte {
	if id == "" {
		reply, _ := s.execute(v, s.base(r), body)
		return reply
	}
	for {
		e, mine := s.replays.begin(whoAsks(v, r), id, body)
		if mine {
			return s.executeFor(e, v, s.base(r), body)
		}
		select {
		case <-e.done:
		case <-s.ctx.Done():
			panic(http.ErrAbortHandler)
		}
		if e.answer != nil {
			s.stats.count(func(n *Stats) { n.Replayed++ })
			return e.answer
		}
	}
}

// executeFor executes the batch that e stands for, and lets go of those who wait for its answer.
func (s *Server) executeFor(e *replay, v viewer, base string, body []byte) []byte {
	var kept []byte
	defer func() { s.replays.end(e, kept) }()
	reply, final := s.execute(v, base, body)
	if final {
		kept = reply
	}
	return reply
}

// only tells whether names holds nothing but allowed.
func only(names []string, allowed ...string) bool {
	for _, n := range names {
		found := false
		for _, a := range allowed {
			found = found || n == a
		}
		if !found {
			return false
		}
	}
	return len(names) > 0
}

// commandNames lists the commands of a batch, for faults and statistics; nil if it is malformed.
func commandNames(body []byte) []string {
	var cmds []struct {
		A string `json:"a"`
	}
	if json.Unmarshal(body, &cmds) != nil {
		return nil
	}
	names := make([]string, len(cmds))
	for i, c := range cmds {
		names[i] = c.A
	}
	return names
}

// execute runs a batch and returns the answer's body. It is final unless all commands were told to try again: what was
// executed must never be executed once more because a command beside it wasn't.
func (s *Server) execute(v viewer, base string, body []byte) (reply []byte, final bool) {
	var cmds []json.RawMessage
	if json.Unmarshal(body, &cmds) != nil || len(cmds) == 0 || len(cmds) > maxCommands {
		return codeBody(eArgs), true
	}
	s.busy(v.session, 1)
	defer s.busy(v.session, -1)
	var out bytes.Buffer
	for i, raw := range cmds {
		if i > 0 {
			out.WriteByte(',')
		} else {
			out.WriteByte('[')
		}
		element := s.command(v, base, raw, true)
		if e := string(element); e != "-3" && e != "-4" {
			final = true
		}
		out.Write(element)
	}
	out.WriteByte(']')
	return out.Bytes(), final
}

// command runs one command and returns its element of the answer. Those from the network are counted and
// subject to faults; those of Account are not.
func (s *Server) command(v viewer, base string, raw json.RawMessage, remote bool) []byte {
	var head struct {
		A string          `json:"a"`
		I json.RawMessage `json:"i"`
	}
	if json.Unmarshal(raw, &head) != nil {
		return codeBody(eArgs)
	}
	if remote {
		if c := s.faults.beforeCommand(head.A, raw); c != ok {
			return codeBody(c)
		}
	}
	c := &call{s: s, viewer: v, raw: raw, tag: tagOf(head.I), base: base}
	result, failure := s.dispatch(c, head.A)
	if remote {
		s.stats.count(func(n *Stats) {
			n.Done[head.A]++
			if failure != ok {
				n.Failed[head.A]++
			}
		})
	}
	if failure != ok || result == nil {
		return codeBody(failure)
	}
	if b, encoded := result.([]byte); encoded {
		return b
	}
	return mustJSON(result)
}

// dispatch finds the command's handler, checks who may call it, and runs it.
func (s *Server) dispatch(c *call, name string) (any, code) {
	h, known := handlers()[name]
	if !known {
		return nil, eArgs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.viewer.session != nil && s.sessions[c.viewer.session.sid] != c.viewer.session {
		return nil, eSid
	}
	switch {
	case h.access == anybody:
	case c.viewer.user != nil:
	case h.access == linkToo && c.viewer.link != nil:
	default:
		return nil, eAccess
	}
	return h.run(c)
}

// tagOf reads the i of a command: a string, or a number from careless clients.
func tagOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return strings.TrimSpace(string(raw))
}

func codeBody(c code) []byte { return strconv.AppendInt(nil, int64(c), 10) }

// busy counts the batches that a session is waiting for.
func (s *Server) busy(ses *session, n int) {
	if ses == nil {
		return
	}
	s.mu.Lock()
	ses.busy += n
	s.mu.Unlock()
}

// lockProbe answers wlt=1: "0" while a batch of the session is being executed, else "1" (PROTOCOL 1.1).
func (s *Server) lockProbe(sid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := s.sessions[sid]
	switch {
	case ses == nil:
		return string(codeBody(eSid))
	case ses.busy > 0:
		return "0"
	}
	return "1"
}
