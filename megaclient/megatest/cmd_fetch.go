package megatest

import (
	"bufio"
	"encoding/json"
	"net/http"
)

// snapshot is the tree as one viewer sees it at one sequence number.
type snapshot struct {
	nodes, versions []view
	rest            []byte // the members behind them, from ok on
}

// cmdFetch is f within a batch of several commands; alone it is streamed by serveTree.
func cmdFetch(c *call) (any, code) {
	snap := c.s.snapshotLocked(c.viewer)
	b := appendViews([]byte(`{"f":`), snap.nodes)
	b = appendViews(append(b, `,"f2":`...), snap.versions)
	return append(append(b, ','), snap.rest...), ok
}

// serveTree answers a batch that holds nothing but f, node by node: the answer never stands in memory.
func (s *Server) serveTree(a *answer, r *http.Request, v viewer, body []byte) {
	var cmds []json.RawMessage
	_ = json.Unmarshal(body, &cmds) // it was read before
	s.busy(v.session, 1)
	defer s.busy(v.session, -1)
	if c := s.faults.beforeCommand("f", cmds[0]); c != ok {
		a.json([]byte("[" + string(codeBody(c)) + "]"))
		return
	}
	if v.user == nil && v.link == nil {
		a.json([]byte("[" + string(codeBody(eAccess)) + "]"))
		return
	}
	var args struct{ CA int }
	_ = json.Unmarshal(cmds[0], &args)
	snap, frozen := s.faults.frozenTree(v)
	if !frozen || args.CA == 0 {
		s.mu.Lock()
		snap = s.snapshotLocked(v)
		s.mu.Unlock()
	}
	s.stats.count(func(n *Stats) { n.Done["f"]++ })
	if s.faults.afterBatch([]string{"f"}) {
		a.cut()
	}
	a.startJSON(-1)
	w := bufio.NewWriterSize(a, 64<<10)
	_, _ = w.WriteString(`[{"f":`)
	sent := func() { _ = w.Flush(); a.flush() }
	streamViews(w, snap.nodes, func(i int) { s.faults.awaitTree(i, sent) })
	_, _ = w.WriteString(`,"f2":`)
	streamViews(w, snap.versions, func(int) {})
	_ = w.WriteByte(',')
	_, _ = w.Write(snap.rest)
	_, _ = w.WriteString(`]`)
	_ = w.Flush()
}

// streamViews writes nodes as a JSON array, one at a time; before is called before each.
func streamViews(w *bufio.Writer, views []view, before func(i int)) {
	buf := []byte{'['}
	for i := range views {
		before(i)
		buf = views[i].appendJSON(buf)
		if i < len(views)-1 {
			buf = append(buf, ',')
		}
		if _, err := w.Write(buf); err != nil {
			return
		}
		buf = buf[:0]
	}
	_, _ = w.Write(append(buf, ']'))
}

// snapshotLocked takes a picture of all that v sees. It is the one command whose cost grows with the tree.
func (s *Server) snapshotLocked(v viewer) snapshot {
	var views []view
	var rest map[string]any
	if v.link != nil {
		views = v.subtree(v.link.node)
		rest = map[string]any{"ok": []any{}, "ok0": []any{}, "s": []any{}, "u": []any{}}
	} else {
		for _, r := range []*node{v.user.root, v.user.vault, v.user.rubbish} {
			views = v.appendSubtree(views, r)
		}
		for n := range v.user.incoming {
			if !v.visibleAbove(n) {
				views = v.appendSubtree(views, n)
			}
		}
		rest = s.relationsLocked(v.user)
	}
	b := mustJSON(rest)
	b = b[1 : len(b)-1] // sn comes last
	var snap snapshot
	snap.nodes, snap.versions = s.splitVersions(views)
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
	users := []any{u.known(2)}
	for _, o := range u.contacts {
		users = append(users, o.known(1))
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
