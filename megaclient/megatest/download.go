package megatest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// dlURL is one download URL.
type dlURL struct {
	blob   *blob
	expiry time.Time
	part   int // of a spread file; anyPart: the file as it is
}

// anyPart stands for content that isn't spread.
const anyPart = -1

// content is what a URL gives.
func (u *dlURL) content() (data io.ReaderAt, size int64) {
	if u.part == anyPart {
		return u.blob.data, u.blob.size
	}
	return raidPart{u.blob.data, u.blob.size, u.part}, raidPartSize(u.blob.size, u.part)
}

// cmdDownloadURL is g: size and attributes of a file, and with g:1 the URL of its content (PROTOCOL 6.1).
func cmdDownloadURL(c *call) (any, code) {
	var a struct {
		N, P string
		G, V int
	}
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	n, failure := c.downloadable(a.N, a.P)
	if failure != ok {
		return nil, failure
	}
	if n.typ != fileNode {
		return nil, eArgs
	}
	answer := map[string]any{"s": n.size, "at": n.attr, "msd": 1, "tl": 0}
	if n.fa != "" {
		answer["fa"] = n.fa
	}
	if a.G == 0 {
		return answer, ok
	}
	if left := c.s.faults.quotaLeft(); left > 0 {
		answer["e"], answer["tl"] = int(eOverQuota), left
		return answer, ok
	}
	address := func(part int) string { return c.base + "/dl/" + c.s.newDownloadLocked(n.blob, part) }
	if a.V != 2 || !n.blob.spread && !n.owner.spread {
		answer["g"] = address(anyPart)
		return answer, ok
	}
	six := make([]string, raidParts)
	for part := range six {
		six[part] = address(part)
	}
	answer["g"] = six
	return answer, ok
}

// downloadable finds a file by handle or by public handle.
func (c *call) downloadable(h, ph string) (*node, code) {
	if ph == "" {
		if c.viewer.user == nil && c.viewer.link == nil {
			return nil, eArgs
		}
		return c.node(h)
	}
	if !validHandle(ph) {
		return nil, eArgs
	}
	l := c.s.links[ph]
	if l == nil || l.expired(c.s.unix()) {
		return nil, eNoEnt
	}
	return l.node, ok
}

// newDownloadLocked makes a URL for b, or for a part of it.
func (s *Server) newDownloadLocked(b *blob, part int) string {
	now := s.opt.now()
	if len(s.urls) > 2*s.urlsKept+1000 {
		for id, u := range s.urls {
			if now.After(u.expiry) {
				delete(s.urls, id)
				u.blob.release()
			}
		}
		s.urlsKept = len(s.urls)
	}
	id := randomID(18)
	b.refs++
	s.urls[id] = &dlURL{blob: b, expiry: now.Add(s.opt.urlLifetime), part: part}
	return id
}

// serveDownload sends a range: GET or POST /dl/{id}/{first}-{last} (PROTOCOL 6.2).
func (s *Server) serveDownload(a *answer, r *http.Request, rest string) {
	if s.faults.httpFault(a, Downloads) {
		return
	}
	if left := s.faults.quotaLeft(); left > 0 {
		a.w.Header().Set("X-MEGA-Time-Left", strconv.FormatInt(left, 10))
		a.status(509)
		return
	}
	id, span, _ := strings.Cut(rest, "/")
	s.mu.Lock()
	u := s.urls[id]
	s.mu.Unlock()
	if u == nil {
		a.status(http.StatusNotFound)
		return
	}
	if s.opt.now().After(u.expiry) {
		a.status(http.StatusForbidden)
		return
	}
	if s.faults.partFault(a, u.part) {
		return
	}
	data, size := u.content()
	first, last, valid := parseSpan(span, size)
	if !valid {
		a.status(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	if hit, found := s.faults.takePart(answerDown, u.part); found {
		content := make([]byte, last+1-first)
		_, _ = data.ReadAt(content, first)
		a.started = true
		hit.answer(a.w, r, content)
		return
	}
	s.send(a, data, u.part, first, last+1)
}

// parseSpan reads "first-last", both inclusive; nothing at all means everything.
func parseSpan(span string, size int64) (first, last int64, valid bool) {
	if span == "" {
		return 0, size - 1, true
	}
	from, to, found := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if err != nil || !found {
		return 0, 0, false
	}
	last = size - 1
	if to != "" {
		if last, err = strconv.ParseInt(to, 10, 64); err != nil {
			return 0, 0, false
		}
	}
	last = min(last, size-1)
	return first, last, first >= 0 && first <= last
}

// send writes the bytes [from,to) of content, with the faults that were asked for.
func (s *Server) send(a *answer, data io.ReaderAt, part int, from, to int64) {
	damage := s.faults.download(part, from, to)
	a.w.Header().Set("Content-Type", "application/octet-stream")
	a.w.Header().Set("Content-Length", strconv.FormatInt(to-from, 10))
	s.stats.count(func(n *Stats) {
		n.Downloads++
		if part != anyPart {
			n.Parts[part]++
		}
	})
	a.begin(http.StatusOK)
	buf := make([]byte, min(to-from, 256<<10))
	for off := from; off < to; {
		p := buf[:min(int64(len(buf)), to-off, damage.next(off))]
		if len(p) == 0 {
			damage.strike(s, a)
		}
		n, err := data.ReadAt(p, off)
		if n < len(p) {
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			p = p[:n]
		}
		damage.corrupt(p, off)
		if _, err := a.Write(p); err != nil {
			return
		}
		s.stats.count(func(n *Stats) { n.BytesDown += int64(len(p)) })
		off += int64(len(p))
	}
}
