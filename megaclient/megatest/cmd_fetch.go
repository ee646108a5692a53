package megatest

import (
	"bufio"
	"net/http"
)

// snapshot is the tree as one viewer sees it at one sequence number.
type snapshot struct {
	views []view
	rest  []byte // the members behind f, from ok on
}

// cmdFetch is f within a batch of several commands; alone it is streamed by serveTree.
func cmdFetch(c *call) (any, code) {
	snap := c.s.snapshotLocked(c.viewer)
	b := []byte(`{"f":[`)
	for i := range snap.views {
		if i > 0 {
			b = append(b, ',')
		}
		b = snap.views[i].appendJSON(b)
	}
	return append(append(b, `],`...), snap.rest...), ok
}

// serveTree answers a batch that holds nothing but f, node by node: the answer never stands in memory.
func (s *Server) serveTree(a *answer, r *http.Request, v viewer, body []byte) {
	raw := body[1:] // the one element of the array is good enough for faults and OnCommand
	if c := s.faults.beforeCommand("f", raw); c != ok {
		a.json([]byte("[" + string(codeBody(c)) + "]"))
		return
	}
	if v.user == nil && v.link == nil {
		a.json([]byte("[" + string(codeBody(eAccess)) + "]"))
		return
	}
	s.mu.Lock()
	snap := s.snapshotLocked(v)
	s.mu.Unlock()
	s.stats.count(func(n *Stats) { n.Done["f"]++ })
	if s.faults.afterBatch([]string{"f"}) {
		a.cut()
	}
	a.startJSON(-1)
	w := bufio.NewWriterSize(a, 64<<10)
	_, _ = w.WriteString(`[{"f":[`)
	var buf []byte
	for i := range snap.views {
		buf = buf[:0]
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = snap.views[i].appendJSON(buf)
		if _, err := w.Write(buf); err != nil {
			return
		}
	}
	_, _ = w.WriteString(`],`)
	_, _ = w.Write(snap.rest)
	_, _ = w.WriteString(`]`)
	_ = w.Flush()
}

// snapshotLocked takes a picture of all that v sees. It is the one command whose cost grows with the tree.
func (s *Server) snapshotLocked(v viewer) snapshot {
	var snap snapshot
	var rest map[string]any
	if v.link != nil {
		snap.views = v.subtree(v.link.node)
		rest = map[string]any{"ok": []any{}, "ok0": []any{}, "s": []any{}, "u": []any{}}
	} else {
		for _, r := range []*node{v.user.root, v.user.vault, v.user.rubbish} {
			snap.views = append(snap.views, v.subtree(r)...)
		}
		for n := range v.user.incoming {
			if !v.visibleAbove(n) {
				snap.views = append(snap.views, v.subtree(n)...)
			}
		}
		rest = s.relationsLocked(v.user)
	}
	b := mustJSON(rest)
	b = b[1 : len(b)-1] // sn comes last
	snap.rest = append(b, `,"sn":"`+formatSN(v.feed().seq())+`"}`...)
	return snap
}

// visibleAbove tells whether n, the root of an incoming share, lies inside another one.
func (v viewer) visibleAbove(n *node) bool {
	for a := n.parent; a != nil; a = a.parent {
		if a.targetFor(v.user) != nil {
			return true
		}
	}
	return false
}

// relationsLocked makes what f tells beside nodes: share keys, shares, users, links (PROTOCOL 3.1).
func (s *Server) relationsLocked(u *user) map[string]any {
	keys, shares, links := []any{}, []any{}, []any{}
	for n := range u.shares {
		keys = append(keys, map[string]string{"h": n.handle, "ha": n.share.auth, "k": n.share.key})
		if n.share.exported {
			shares = append(shares, map[string]any{"h": n.handle, "u": "EXP", "r": 0, "ts": n.share.expTS})
		}
		for to, t := range n.share.targets {
			shares = append(shares, map[string]any{"h": n.handle, "u": to.handle, "r": t.access, "ts": t.ts})
		}
	}
	users := []any{map[string]any{"u": u.handle, "c": 2, "m": u.email, "ts": u.created}}
	for _, o := range u.contacts {
		users = append(users, map[string]any{"u": o.handle, "c": 1, "m": o.email, "ts": o.created})
	}
	rest := map[string]any{"ok": keys, "ok0": keys, "s": shares, "u": users}
	for n := range u.links {
		entry := map[string]any{"h": n.handle, "ph": n.link.ph, "ts": n.link.ts}
		if n.link.ets != 0 {
			entry["ets"] = n.link.ets
		}
		links = append(links, entry)
	}
	if len(links) > 0 {
		rest["ph"] = links
	}
	return rest
}
