package megatest

// maxPut bounds the nodes of one p (PROTOCOL 5.4).
const maxPut = 1000

// putArgs is the p command.
type putArgs struct {
	T  string
	N  []putNode
	VB *int
	VW int
	CR *keyGrant
}

// putNode is one entry of p: new content by token, a copy by handle or public handle, or a folder.
type putNode struct {
	H, PH, P, OV, A, K, FA string
	T                      int8
}

// putter carries one p through its nodes.
type putter struct {
	c       *call
	args    putArgs
	target  *node
	named   map[string]*node // what earlier entries made, by the handle they gave themselves
	made    []*node          // by index; nil where an entry failed
	changed []*node          // nodes that got another parent: versions
	removed []removal        // replaced nodes
}

// removal is a node that is gone, and who has to hear of it.
type removal struct {
	handle string
	who    audience
}

// cmdPut is p (PROTOCOL 5.4, 5.5).
func cmdPut(c *call) (any, code) {
	p := putter{c: c, named: map[string]*node{}}
	if failure := c.parse(&p.args); failure != ok {
		return nil, failure
	}
	if len(p.args.N) == 0 || len(p.args.N) > maxPut {
		return nil, eArgs
	}
	var failure code
	if p.target, failure = c.putTarget(p.args.T); failure != ok {
		return nil, failure
	}
	p.made = make([]*node, len(p.args.N))
	failures := map[int]code{}
	for i := range p.args.N {
		if p.made[i], failure = p.put(&p.args.N[i]); failure != ok {
			failures[i] = failure
		}
	}
	if len(failures) == len(p.args.N) {
		return nil, failure
	}
	p.args.CR.grantPut(&p)
	p.tell()
	return p.result(failures), ok
}

// putTarget finds the folder that p puts into. With WithOrphansToBin, the bin stands in for a deleted one.
func (c *call) putTarget(h string) (*node, code) {
	n, failure := c.node(h)
	if failure == eNoEnt {
		if u := c.s.gone[h]; u != nil && u == c.viewer.user {
			return u.rubbish, ok
		}
	}
	return n, failure
}

// put makes one node.
func (p *putter) put(e *putNode) (*node, code) {
	c := p.c
	parent := p.target
	if e.P != "" {
		if parent = p.named[e.P]; parent == nil {
			var failure code
			if parent, failure = c.node(e.P); failure != ok {
				return nil, failure
			}
		}
	}
	if failure := c.mayAdd(parent, p.args.VW); failure != ok {
		return nil, failure
	}
	if failure := e.check(); failure != ok {
		return nil, failure
	}
	n := &node{
		handle: c.s.newHandleLocked(), owner: parent.owner, typ: e.T, ts: c.s.unix(), attr: e.A,
	}
	n.keys = []nodeKey{{c.keyHolder(), e.K}}
	n.fa, _ = c.s.addFileAttrs("", e.FA)
	if e.T == fileNode {
		if failure := c.fill(n, e); failure != ok {
			return nil, failure
		}
		if failure := n.owner.room(n.size); failure != ok {
			n.blob.release()
			return nil, eOverQuota
		}
	}
	if failure := p.place(n, parent, e.OV); failure != ok {
		n.blob.release()
		return nil, failure
	}
	c.s.nodes[n.handle] = n
	if e.H != "" {
		p.named[e.H] = n
	}
	return n, ok
}

// keyHolder is whose master key (or link key) keys in commands are encrypted with.
func (c *call) keyHolder() string {
	if c.viewer.link != nil {
		return c.viewer.link.node.handle
	}
	return c.viewer.user.handle
}

// check refuses entries that no node can be made of.
func (e *putNode) check() code {
	want := 43
	if e.T == folderNode {
		want = 22
	}
	switch {
	case e.T != fileNode && e.T != folderNode,
		e.A == "" || len(e.A) > maxAttrChars,
		len(e.K) < want, // RSA makes longer ones
		e.T == fileNode && e.H == "" && e.PH == "":
		return eArgs
	}
	return ok
}

// mayAdd tells whether the caller may put something into parent.
func (c *call) mayAdd(parent *node, vw int) code {
	switch {
	case !parent.isFolder():
		return eArgs
	case c.viewer.access(parent) < readWrite:
		return eAccess
	case parent.root() == parent.owner.vault && vw == 0:
		return eAccess
	}
	return ok
}

// fill gives a new file node its content: what an upload's token stands for, or that of another node.
func (c *call) fill(n *node, e *putNode) code {
	from, failure := c.source(e)
	if failure != ok {
		return failure
	}
	if from != nil {
		if from.typ != fileNode {
			return eArgs
		}
		n.blob = from.blob
		if n.fa == "" {
			n.fa = from.fa
		}
	} else {
		u := c.s.tokens[e.H]
		if u == nil || u.used && c.s.opt.tokenOnce {
			return eNoEnt
		}
		n.blob = u.blob
		c.s.useTokenLocked(u)
	}
	n.blob.refs++
	n.size = n.blob.size
	return ok
}

// source finds the node that an entry copies; nil when it names an upload.
func (c *call) source(e *putNode) (*node, code) {
	switch {
	case e.PH != "":
		return c.downloadable("", e.PH)
	case len(e.H) == 8:
		return c.node(e.H)
	}
	return nil, ok
}

// keptTokens and keptTokenBytes bound how many tokens stay good after a p used them, and how much content
// they may keep from being freed.
const (
	keptTokens     = 4096
	keptTokenBytes = 64 << 20
)

// useTokenLocked notes that a node was made of u. Old used tokens are forgotten.
func (s *Server) useTokenLocked(u *upload) {
	if u.used {
		return
	}
	u.used = true
	delete(s.uploads, u.id)
	s.usedTokens = append(s.usedTokens, u)
	s.usedTokenBytes += u.size
	for len(s.usedTokens) > keptTokens || s.usedTokenBytes > keptTokenBytes && len(s.usedTokens) > 8 {
		old := s.usedTokens[0]
		s.usedTokens = s.usedTokens[1:]
		s.usedTokenBytes -= old.size
		if s.tokens[old.token] == old {
			delete(s.tokens, old.token)
			old.blob.release()
		}
	}
}

// tell logs the packets: new nodes with their index and whatever else moved in the tree, then the removals.
func (p *putter) tell() {
	why := p.c.cause()
	who := audience{}
	for _, n := range append(p.made[:len(p.made):len(p.made)], p.changed...) {
		if n == nil {
			continue
		}
		for r := range audienceOf(n) {
			who[r] = struct{}{}
		}
	}
	for r := range who {
		why.sendNodes(r.feed(), p.views(r.viewer()), true)
	}
	for _, gone := range p.removed {
		for r := range gone.who {
			why.sendRemoval(r.feed(), gone.handle, false)
		}
	}
}

// views lists what v sees of the new nodes and of the versions that now hang below them, whole chains.
func (p *putter) views(v viewer) []view {
	var views []view
	for i, n := range p.made {
		if n != nil && (v.link == nil || v.access(n) >= readOnly) {
			pic := v.look(n)
			pic.index = i
			views = append(views, pic)
		}
	}
	for _, n := range p.changed {
		if v.access(n) >= readOnly {
			views = v.appendSubtree(views, n)
		}
	}
	return views
}

// result is the answer in the old style: whole node objects.
func (p *putter) result(failures map[int]code) any {
	b := []byte(`{"f":[`)
	first := true
	for _, n := range p.made {
		if n == nil {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		pic := p.c.viewer.look(n)
		b = pic.appendJSON(b)
	}
	b = append(b, ']')
	if len(failures) > 0 {
		b = append(b, `,"e":`...)
		b = append(b, mustJSON(failures)...)
	}
	return append(b, '}')
}
