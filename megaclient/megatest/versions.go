package megatest

// place puts a new node below parent. With ov it takes the place of another file, which becomes its
// older version, or goes (PROTOCOL 5.5).
func (p *putter) place(n, parent *node, ov string) code {
	if ov == "" || n.typ != fileNode {
		n.attach(parent)
		return ok
	}
	old, failure := p.c.node(ov)
	switch {
	case failure == eArgs:
		return eArgs
	case failure != ok: // deleted meanwhile
		if p.c.s.opt.superseded == SupersededRefuse {
			return eNoEnt
		}
		n.attach(parent)
		return ok
	case old.typ != fileNode:
		return eArgs
	case p.c.viewer.access(old) < readWrite || old.owner != parent.owner:
		return eAccess
	}
	if old.isVersion() {
		switch p.c.s.opt.superseded {
		case SupersededRefuse:
			return eNoEnt
		case SupersededBeside:
			n.attach(parent)
			return ok
		}
		for old.isVersion() {
			old = old.parent
		}
		if !old.parent.isFolder() || p.c.viewer.access(old) < readWrite {
			return eAccess
		}
	}
	if p.keepVersion(n.owner) {
		before := audienceOf(old)
		old.detach()
		n.attach(parent)
		old.attach(n)
		p.changed = append(p.changed, old)
		for r := range audienceOf(old) {
			delete(before, r)
		}
		if len(before) > 0 { // it lay in a share that the new one isn't in
			p.removed = append(p.removed, removal{old.handle, before})
		}
		return ok
	}
	p.replace(n, old, parent)
	return ok
}

// keepVersion tells whether p makes versions: it says so itself, or the account's setting holds.
func (p *putter) keepVersion(owner *user) bool {
	if p.args.VB != nil {
		return *p.args.VB != 0
	}
	return owner.versioning()
}

// replace removes old and gives its older versions to n.
func (p *putter) replace(n, old, parent *node) {
	who := audienceOf(old)
	chain := old.first
	if chain != nil {
		chain.detach()
	}
	handle := old.handle
	p.c.s.removeLocked(old)
	n.attach(parent)
	if chain != nil {
		chain.attach(n)
		p.changed = append(p.changed, chain)
	}
	for i, made := range p.made { // two entries of one p replacing one another
		if made == old {
			p.made[i] = nil
		}
	}
	p.removed = append(p.removed, removal{handle, who})
}
