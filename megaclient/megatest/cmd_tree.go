package megatest

import "encoding/json"

// node finds a node by handle: -2 when that is no handle, -9 when there is none or the caller doesn't see it.
func (c *call) node(h string) (*node, code) {
	if !validHandle(h) {
		return nil, eArgs
	}
	n := c.s.nodes[h]
	if n == nil || c.viewer.access(n) == noAccess {
		return nil, eNoEnt
	}
	return n, ok
}

// newHandleLocked draws a handle that nobody has.
func (s *Server) newHandleLocked() string {
	for {
		h := randomID(nodeHandleBytes)
		if s.nodes[h] == nil && s.links[h] == nil {
			return h
		}
	}
}

// removeLocked takes n and all below it out of the server.
func (s *Server) removeLocked(n *node) {
	if n.parent != nil {
		n.detach()
	}
	n.walk(func(d *node) {
		delete(s.nodes, d.handle)
		if s.opt.orphansToBin && d.isFolder() {
			s.gone[d.handle] = d.owner
		}
		d.blob.release()
		s.unlinkLocked(d)
		s.unshareLocked(d)
	})
}

// cmdSetAttr is a: replaces the whole attribute string.
func cmdSetAttr(c *call) (any, code) {
	var a struct{ N, At, Attr string }
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	if a.At == "" {
		a.At = a.Attr // the old name
	}
	n, failure := c.node(a.N)
	switch {
	case failure != ok:
		return nil, failure
	case a.At == "" || len(a.At) > maxAttrChars || n.typ > folderNode:
		return nil, eArgs
	case c.viewer.access(n) < fullAccess:
		return nil, eAccess
	}
	n.attr = a.At
	why := c.cause()
	for r := range audienceOf(n) {
		why.sendAttrs(r.feed(), n)
	}
	return nil, ok
}

// cmdMove is m (PROTOCOL 7.1, 7.3).
func cmdMove(c *call) (any, code) {
	var a struct {
		N, T string
		VW   int
		CR   *keyGrant
	}
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	n, failure := c.node(a.N)
	if failure != ok {
		return nil, failure
	}
	t, failure := c.node(a.T)
	if failure != ok {
		return nil, failure
	}
	if failure := c.mayMove(n, t, a.VW); failure != ok {
		return nil, failure
	}
	if n.parent == t {
		a.CR.grant(c)
		return nil, ok
	}
	before := audienceOf(n)
	n.detach()
	n.attach(t)
	a.CR.grant(c)
	c.tellMove(n, before, audienceOf(n))
	if t.root() == t.owner.rubbish {
		c.revokeBelow(n)
	}
	return nil, ok
}

// mayMove tells whether the caller may move n into t.
func (c *call) mayMove(n, t *node, vw int) code {
	v := c.viewer
	switch {
	case n.typ > folderNode:
		return eAccess
	case !t.isFolder():
		return eArgs
	case t.within(n):
		return eCircular
	case n.owner != t.owner, v.access(n) < fullAccess, v.access(t) < readWrite:
		return eAccess
	case n.owner != v.user && n.targetFor(v.user) != nil && v.access(n.parent) == noAccess:
		return eAccess // the root of an incoming share
	case vw == 0 && (t.root() == t.owner.vault || n.root() == n.owner.vault):
		return eAccess
	}
	return ok
}

// tellMove logs a move: those who see both ends get d with m and t, the others one half.
func (c *call) tellMove(n *node, before, after audience) {
	why := c.cause()
	for r := range before {
		_, stays := after[r]
		why.sendRemoval(r.feed(), n.handle, stays)
		if !stays {
			why.sendSharesBelow(r, n)
		}
	}
	for r := range after {
		_, was := before[r]
		why.sendNodes(r.feed(), r.viewer().subtree(n), !was)
	}
}

// cmdDelete is d: removes a node with all below it; v:1 removes one version only. A list of handles is
// answered with a list of codes.
func cmdDelete(c *call) (any, code) {
	var a struct {
		N json.RawMessage
		V int
	}
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	var one string
	if json.Unmarshal(a.N, &one) == nil {
		return nil, c.remove(one, a.V != 0)
	}
	var many []string
	if json.Unmarshal(a.N, &many) != nil {
		return nil, eArgs
	}
	codes := make([]code, len(many))
	for i, h := range many {
		codes[i] = c.remove(h, a.V != 0)
	}
	return map[string]any{"r": codes}, ok
}

func (c *call) remove(h string, single bool) code {
	n, failure := c.node(h)
	if failure != ok {
		return failure
	}
	v := c.viewer
	if n.owner != v.user && n.targetFor(v.user) != nil && !v.visibleAbove(n) {
		c.leave(n)
		return ok
	}
	switch {
	case n.typ > folderNode, v.access(n) < fullAccess:
		return eAccess
	}
	c.revokeBelow(n)
	who := audienceOf(n)
	var chain *node
	if parent := n.parent; single && n.first != nil && n.typ == fileNode {
		chain = n.first
		chain.detach()
		c.s.removeLocked(n)
		chain.attach(parent)
	} else {
		c.s.removeLocked(n)
	}
	why := c.cause()
	for r := range who {
		why.sendRemoval(r.feed(), h, false)
		if chain != nil {
			why.sendNodes(r.feed(), r.viewer().subtree(chain), true)
		}
	}
	return ok
}

// cmdDeleteVersions is dv: removes every older version of the account's files.
func cmdDeleteVersions(c *call) (any, code) {
	var old []*node
	for _, r := range []*node{c.viewer.user.root, c.viewer.user.vault, c.viewer.user.rubbish} {
		r.walk(func(n *node) {
			if n.isVersion() && !n.parent.isVersion() {
				old = append(old, n)
			}
		})
	}
	why := c.cause()
	for _, n := range old {
		who := audienceOf(n)
		c.s.removeLocked(n)
		for r := range who {
			why.sendRemoval(r.feed(), n.handle, false)
		}
	}
	return nil, ok
}
