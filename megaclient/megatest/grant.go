package megatest

import (
	"encoding/json"
	"errors"
)

// keyGrant is a cr: node keys encrypted with share keys (PROTOCOL 7.6).
type keyGrant struct {
	shares, nodes []string
	entries       []grantEntry
}

type grantEntry struct {
	share, node int
	key         string
}

var errGrant = errors.New("malformed cr")

// UnmarshalJSON reads [[shares],[nodes],[s,n,"key",s,n,"key",…]].
func (g *keyGrant) UnmarshalJSON(b []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) != 3 {
		return errGrant
	}
	var flat []json.RawMessage
	if json.Unmarshal(parts[0], &g.shares) != nil || json.Unmarshal(parts[1], &g.nodes) != nil ||
		json.Unmarshal(parts[2], &flat) != nil || len(flat)%3 != 0 {
		return errGrant
	}
	for i := 0; i < len(flat); i += 3 {
		var e grantEntry
		if json.Unmarshal(flat[i], &e.share) != nil || json.Unmarshal(flat[i+1], &e.node) != nil ||
			json.Unmarshal(flat[i+2], &e.key) != nil || e.share < 0 || e.share >= len(g.shares) || e.node < 0 {
			return errGrant
		}
		g.entries = append(g.entries, e)
	}
	return nil
}

// grantPut applies the cr of a p: entries name the new nodes by index, or by what h said.
func (g *keyGrant) grantPut(p *putter) {
	if g == nil {
		return
	}
	byName := map[string]*node{}
	for i, e := range p.args.N {
		byName[e.H] = p.made[i]
	}
	g.apply(p.c, func(i int) *node {
		if len(g.nodes) == 0 {
			if i < len(p.made) {
				return p.made[i]
			}
			return nil
		}
		if i >= len(g.nodes) {
			return nil
		}
		if n := byName[g.nodes[i]]; n != nil {
			return n
		}
		return p.c.s.nodes[g.nodes[i]]
	})
}

// grant applies the cr of another command: entries name existing nodes.
func (g *keyGrant) grant(c *call) {
	if g == nil {
		return
	}
	g.apply(c, func(i int) *node {
		if i >= len(g.nodes) {
			return nil
		}
		return c.s.nodes[g.nodes[i]]
	})
}

// apply keeps each key that the caller may give: for nodes that it may change, in the shares they lie in.
func (g *keyGrant) apply(c *call, find func(int) *node) {
	for _, e := range g.entries {
		root := c.s.nodes[g.shares[e.share]]
		n := find(e.node)
		if root == nil || n == nil || !n.within(root) || c.viewer.access(n) < readWrite {
			continue
		}
		n.setKey(root.handle, e.key)
	}
}

// cmdKeys is k: better encrypted keys for nodes (nk), or share keys for them (cr). Old sr requests are ignored.
func cmdKeys(c *call) (any, code) {
	var a struct {
		NK []string
		CR *keyGrant
	}
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	for i := 0; i+1 < len(a.NK); i += 2 {
		n, failure := c.node(a.NK[i])
		if failure != ok {
			return nil, failure
		}
		n.setKey(c.viewer.user.handle, a.NK[i+1])
	}
	a.CR.grant(c)
	return nil, ok
}
