package megatest

import (
	"net"
	"net/http"
	"net/url"
)

// viewer is who asks: a logged-in user, or somebody with a link to a folder.
type viewer struct {
	user    *user
	session *session
	link    *link
	write   bool // the link came with its write key
}

// feed returns the packet log that v reads.
func (v viewer) feed() *feed {
	if v.link != nil {
		return v.link.feed
	}
	return v.user.feed
}

// whoAsks names the scope of a request id: the session, or the address before there is one.
func whoAsks(v viewer, r *http.Request) string {
	switch {
	case v.session != nil:
		return v.session.sid
	case v.link != nil:
		return v.link.ph
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}

// viewerOf finds out who asks. A dead session fails the whole batch.
func (s *Server) viewerOf(q url.Values, names []string) (viewer, code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var v viewer
	if sid := q.Get("sid"); sid != "" {
		ses := s.sessions[sid]
		if ses == nil {
			return v, eSid
		}
		v.session, v.user = ses, ses.user
		if v.user.blocked != 0 && !only(names, "whyamiblocked", "sml") {
			return v, eBlocked
		}
	}
	if n := q.Get("n"); n != "" {
		return s.linkViewerLocked(n)
	}
	return v, ok
}

// linkViewerLocked opens a folder link: eight characters, the write key behind them.
func (s *Server) linkViewerLocked(n string) (viewer, code) {
	if len(n) < 8 {
		return viewer{}, eArgs
	}
	l := s.links[n[:8]]
	if l == nil || !l.node.isFolder() || l.expired(s.unix()) {
		return viewer{}, eNoEnt
	}
	if l.feed == nil {
		l.feed = newFeed()
	}
	if n[8:] != "" && n[8:] != l.writeKey {
		return viewer{}, eAccess
	}
	return viewer{link: l, write: n[8:] != ""}, ok
}
