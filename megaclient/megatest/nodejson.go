package megatest

import "strconv"

// view is a node as one viewer sees it at one moment: it refers to strings that never change, so it
// can be turned into JSON later, without the server's lock.
type view struct {
	n           *node
	parent      string
	attr, fa    string
	holder, key string // chosen entry of the key list
	incoming    *incoming
	version     bool
	index       int // i, -1 for none
}

// incoming is what only the root of an incoming share carries.
type incoming struct {
	access int
	from   string
	key    string
	ts     int64
}

// look takes a picture of n as v sees it. Server.mu is held.
func (v viewer) look(n *node) view {
	p := view{n: n, attr: n.attr, fa: n.fa, version: n.isVersion(), index: -1}
	if n.parent != nil {
		p.parent = n.parent.handle
	}
	p.holder, p.key = v.chooseKey(n)
	if v.user != nil && n.owner != v.user {
		if t := n.targetFor(v.user); t != nil {
			p.incoming = &incoming{access: t.access, from: n.owner.handle, key: t.key, ts: t.ts}
		}
	}
	return p
}

// chooseKey picks the entry of n's key list that v can use: one of v's own, else that of a share
// through which v sees the node; the owner may use any share's, also of one that has ended. Whoever has
// none gets what there is, and can't read it.
func (v viewer) chooseKey(n *node) (holder, key string) {
	if len(n.keys) == 0 {
		return "", ""
	}
	if v.user != nil {
		if k, found := n.keyFor(v.user.handle); found {
			return v.user.handle, k
		}
	}
	if n.owner == v.user {
		for _, k := range n.keys {
			if len(k.holder) == len(n.handle) {
				return k.holder, k.key
			}
		}
	}
	for a := n; a != nil; a = a.parent {
		if !v.entitled(a) {
			continue
		}
		if k, found := n.keyFor(a.handle); found {
			return a.handle, k
		}
	}
	if v.link != nil {
		return "", ""
	}
	return n.keys[0].holder, n.keys[0].key
}

// entitled tells whether v has the share key of the share root a.
func (v viewer) entitled(a *node) bool {
	if v.link != nil {
		return a == v.link.node
	}
	return a.targetFor(v.user) != nil
}

// appendJSON appends the node object of PROTOCOL 3.2.
func (p *view) appendJSON(b []byte) []byte {
	n := p.n
	b = append(b, `{"h":"`...)
	b = append(b, n.handle...)
	b = append(b, `","p":"`...)
	b = append(b, p.parent...)
	b = append(b, `","u":"`...)
	b = append(b, n.owner.handle...)
	b = append(b, `","t":`...)
	b = strconv.AppendInt(b, int64(n.typ), 10)
	b = append(b, `,"a":`...)
	b = appendString(b, p.attr)
	b = append(b, `,"k":`...)
	if p.key == "" {
		b = append(b, `""`...)
	} else {
		b = appendString(b, p.holder+":"+p.key)
	}
	if n.typ == fileNode {
		b = append(b, `,"s":`...)
		b = strconv.AppendInt(b, n.size, 10)
	}
	if p.fa != "" {
		b = append(b, `,"fa":`...)
		b = appendString(b, p.fa)
	}
	if in := p.incoming; in != nil {
		b = append(b, `,"r":`...)
		b = strconv.AppendInt(b, int64(in.access), 10)
		b = append(b, `,"su":"`...)
		b = append(b, in.from...)
		b = append(b, '"')
		if in.key != "" {
			b = append(b, `,"sk":`...)
			b = appendString(b, in.key)
		}
		b = append(b, `,"sts":`...)
		b = strconv.AppendInt(b, in.ts, 10)
	}
	b = append(b, `,"ts":`...)
	b = strconv.AppendInt(b, n.ts, 10)
	if p.index >= 0 {
		b = append(b, `,"i":`...)
		b = strconv.AppendInt(b, int64(p.index), 10)
	}
	return append(b, '}')
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			return append(b, mustJSON(s)...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
