package megatest

import (
	"encoding/json"
	"strconv"
)

// cmdShare is s2: gives users (or, as EXP, whoever has the link's key) access to a folder, changes that
// access, or takes it back.
func cmdShare(c *call) (any, code) {
	var a struct {
		N      string
		S      []shareWish
		OK, HA string
		CR     *keyGrant
	}
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	n, failure := c.node(a.N)
	switch {
	case failure != ok:
		return nil, failure
	case n.typ != folderNode || len(a.S) == 0:
		return nil, eArgs
	case n.owner != c.viewer.user:
		return nil, eAccess
	}
	if n.share == nil {
		n.share = &share{targets: map[*user]*shareTarget{}}
		n.owner.shares[n] = struct{}{}
	}
	taken := n.share.adopt(a.OK, a.HA)
	a.CR.grant(c)
	results, users := []code{}, []any{}
	for _, w := range a.S {
		u, failure := c.grantShare(n, w)
		results = append(results, failure)
		if u != nil {
			users = append(users, map[string]string{"u": u.handle, "m": u.email})
		}
	}
	if n.share != nil && n.share.empty() {
		c.s.unshareLocked(n)
	}
	answer := map[string]any{"r": results, "u": users}
	if !taken {
		answer["ok"] = n.share.key
	}
	return answer, ok
}

// shareWish is one entry of s2: who, and how much; no r takes access back.
type shareWish struct {
	U, K string
	R    json.RawMessage
}

// level reads r: a number, the same as a string, or nothing.
func (w shareWish) level() (int, bool) {
	s := string(w.R)
	if unq, err := strconv.Unquote(s); err == nil {
		s = unq
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// adopt takes over the share key that the owner's client names, unless there is another one.
// All zeros is what clients with ^!keys send: no key.
func (sh *share) adopt(key, auth string) bool {
	if key == "" || key == sh.key {
		return true
	}
	if sh.key != "" && sh.key != zeroKey {
		return false
	}
	sh.key, sh.auth = key, auth
	return true
}

// zeroKey is a dummy ok (PROTOCOL 3.10).
var zeroKey = b64.EncodeToString(make([]byte, 16))

func (sh *share) empty() bool { return !sh.exported && len(sh.targets) == 0 }

// grantShare carries out one entry of s2.
func (c *call) grantShare(n *node, w shareWish) (*user, code) {
	level, grant := w.level()
	if w.U == "EXP" {
		c.export(n, grant)
		return nil, ok
	}
	u := c.s.findUser(w.U)
	switch {
	case u == nil:
		return nil, eNoEnt
	case u == n.owner, grant && (level < readOnly || level > fullAccess):
		return nil, eArgs
	case !grant:
		if n.targetFor(u) == nil {
			return nil, eNoEnt
		}
		c.revoke(n, u)
		return u, ok
	}
	old := n.share.targets[u]
	t := &shareTarget{access: level, ts: c.s.unix(), key: w.K}
	if old != nil && t.key == "" {
		t.key = old.key
	}
	n.share.targets[u] = t
	u.incoming[n] = struct{}{}
	// Who shares without having met is a contact from then on, and nobody is told: the client must find out who it is.
	u.contacts[n.owner.handle] = n.owner
	n.owner.contacts[u.handle] = u
	c.tellShare(n, u, t, old == nil)
	return u, ok
}

// tellShare logs a new or changed share: s2 for both sides, and for a new target the nodes themselves.
func (c *call) tellShare(n *node, u *user, t *shareTarget, fresh bool) {
	why := c.cause()
	fields := map[string]any{"n": n.handle, "o": n.owner.handle, "u": u.handle, "r": t.access, "ts": t.ts}
	fields["ok"], fields["ha"] = n.share.key, n.share.auth
	why.send(n.owner.feed, "s2", fields)
	delete(fields, "ok")
	delete(fields, "ha")
	if t.key != "" {
		fields["k"] = t.key
	}
	why.send(u.feed, "s2", fields)
	if fresh {
		why.sendNodes(u.feed, viewer{user: u}.subtree(n), true)
	}
}

// export opens n for folder links, or closes it and takes the link with it.
func (c *call) export(n *node, on bool) {
	why := c.cause()
	fields := map[string]any{"n": n.handle, "o": n.owner.handle, "u": "EXP"}
	if on {
		n.share.exported, n.share.expTS = true, c.s.unix()
		fields["r"], fields["ts"], fields["ok"], fields["ha"] = 0, n.share.expTS, n.share.key, n.share.auth
	} else {
		n.share.exported = false
		if n.link != nil {
			why.send(n.owner.feed, "ph", map[string]any{"h": n.handle, "ph": n.link.ph, "d": 1})
		}
		c.s.unlinkLocked(n)
	}
	why.send(n.owner.feed, "s2", fields)
}

// revoke takes u's access to n back.
func (c *call) revoke(n *node, u *user) {
	delete(n.share.targets, u)
	delete(u.incoming, n)
	why := c.cause()
	fields := map[string]any{"n": n.handle, "o": n.owner.handle, "u": u.handle}
	if n.share.empty() {
		fields["okd"] = "1"
	}
	why.send(n.owner.feed, "s2", fields)
	why.send(u.feed, "s2", fields)
	if (viewer{user: u}).access(n) == noAccess {
		why.sendRemoval(u.feed, n.handle, false)
		why.sendSharesBelow(reader{user: u}, n)
	}
}

// leave is what d of an incoming share's root means: the caller no longer wants it.
func (c *call) leave(n *node) {
	c.revoke(n, c.viewer.user)
	if n.share.empty() {
		c.s.unshareLocked(n)
	}
}

// revokeBelow ends all shares of n and below: the bin is not shared.
func (c *call) revokeBelow(n *node) {
	for r := range n.owner.shares {
		if !r.within(n) {
			continue
		}
		for u := range r.share.targets {
			c.revoke(r, u)
		}
		if r.share.exported {
			c.export(r, false)
		}
		c.s.unshareLocked(r)
	}
}

// unshareLocked forgets that n is shared, without telling anybody.
func (s *Server) unshareLocked(n *node) {
	if n.share == nil {
		return
	}
	for u := range n.share.targets {
		delete(u.incoming, n)
	}
	delete(n.owner.shares, n)
	n.share = nil
}

// unlinkLocked forgets the public link of n, without telling anybody.
func (s *Server) unlinkLocked(n *node) {
	if n.link == nil {
		return
	}
	if n.link.feed != nil {
		n.link.feed.wake()
	}
	delete(s.links, n.link.ph)
	delete(n.owner.links, n)
	n.link = nil
}

// cmdLink is l: makes, changes or removes a public link. A folder must have been exported by s2 before.
func cmdLink(c *call) (any, code) {
	var a struct {
		N    string
		D, W int
		Ets  int64
	}
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	n, failure := c.node(a.N)
	switch {
	case failure != ok:
		return nil, failure
	case n.owner != c.viewer.user, n.typ > folderNode:
		return nil, eAccess
	}
	why := c.cause()
	if a.D != 0 {
		if n.link == nil {
			return nil, eNoEnt
		}
		why.send(n.owner.feed, "ph", map[string]any{"h": n.handle, "ph": n.link.ph, "d": 1})
		c.s.unlinkLocked(n)
		return nil, ok
	}
	if n.typ == folderNode && (n.share == nil || !n.share.exported) {
		return nil, eAccess
	}
	change := "u"
	if n.link == nil {
		change = "n"
		n.link = &link{ph: c.s.newHandleLocked(), node: n, ts: c.s.unix()}
		c.s.links[n.link.ph] = n.link
		n.owner.links[n] = struct{}{}
	}
	n.link.ets = a.Ets
	if a.W != 0 && n.typ == folderNode && n.link.writeKey == "" {
		n.link.writeKey = randomID(16)
	}
	fields := map[string]any{"h": n.handle, "ph": n.link.ph, change: 1, "ts": n.link.ts}
	if a.Ets != 0 {
		fields["ets"] = a.Ets
	}
	why.send(n.owner.feed, "ph", fields)
	if a.W != 0 && n.link.writeKey != "" {
		return map[string]string{"ph": n.link.ph, "w": n.link.writeKey}, ok
	}
	return n.link.ph, ok
}
