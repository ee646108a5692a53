package megatest

import (
	"encoding/json"
	"slices"
	"strconv"
)

// cause is what the packets of one command have in common: the originating user, the command's tag,
// and one sequence tag for each feed.
type cause struct {
	s     *Server
	tag   string // i, "" for none
	user  string // ou
	drawn map[*feed]string
}

// head starts a packet: type, tag and sequence tag in the order that clients rely on (PROTOCOL 8.2).
func (c *cause) head(f *feed, typ string, tagged bool) []byte {
	b := append([]byte(`{"a":"`), typ...)
	b = append(b, '"')
	if c.tag != "" {
		b = append(b, `,"i":`...)
		b = appendString(b, c.tag)
	}
	if tagged {
		if c.drawn == nil {
			c.drawn = map[*feed]string{}
		}
		st, found := c.drawn[f]
		if !found {
			st = f.tag()
			c.drawn[f] = st
		}
		b = append(b, `,"st":"`...)
		b = append(b, st...)
		b = append(b, '"')
	}
	return b
}

// end closes a packet with the originating user and puts it into the log.
func (c *cause) end(f *feed, b []byte) {
	if c.user != "" {
		b = append(b, `,"ou":"`...)
		b = append(b, c.user...)
		b = append(b, '"')
	}
	f.add(append(b, '}'), c.s.opt.logLimit)
}

// sendNodes logs a t packet with views; nothing if there are none.
func (c *cause) sendNodes(f *feed, views []view, tagged bool) {
	if len(views) == 0 {
		return
	}
	b := c.head(f, "t", tagged)
	nodes, versions := c.s.splitVersions(views)
	b = append(b, `,"t":{"f":`...)
	b = appendViews(b, nodes)
	if len(versions) > 0 {
		b = append(b, `,"f2":`...)
		b = appendViews(b, versions)
	}
	b = append(b, '}')
	c.end(f, b)
}

// appendViews appends nodes as a JSON array.
func appendViews(b []byte, views []view) []byte {
	b = append(b, '[')
	for i := range views {
		if i > 0 {
			b = append(b, ',')
		}
		b = views[i].appendJSON(b)
	}
	return append(b, ']')
}

// splitVersions takes older versions out of a list of nodes: they travel in f2, since megajs breaks
// when it meets a node whose parent is a file.
func (s *Server) splitVersions(views []view) (nodes, versions []view) {
	if s.opt.versionsInF {
		return views, nil
	}
	nodes = views[:0]
	for i := range views {
		if views[i].version {
			versions = append(versions, views[i])
		} else {
			nodes = append(nodes, views[i])
		}
	}
	return nodes, versions
}

// sendRemoval logs a d packet; move marks the first half of a move.
func (c *cause) sendRemoval(f *feed, handle string, move bool) {
	b := c.head(f, "d", true)
	b = append(b, `,"n":"`...)
	b = append(b, handle...)
	b = append(b, '"')
	if move {
		b = append(b, `,"m":1`...)
	}
	c.end(f, b)
}

// sendSharesBelow logs anew what r still sees of n's subtree, by shares of its own, after n itself has
// gone out of sight and taken everything below with it.
func (c *cause) sendSharesBelow(r reader, n *node) {
	if r.user == nil {
		return
	}
	v := r.viewer()
	for root := range r.user.incoming {
		if root.within(n) && !v.visibleAbove(root) {
			c.sendNodes(r.feed(), v.subtree(root), true)
		}
	}
}

// sendAttrs logs the u packet of a changed attribute string.
func (c *cause) sendAttrs(f *feed, n *node) {
	b := c.head(f, "u", true)
	b = append(b, `,"n":"`...)
	b = append(b, n.handle...)
	b = append(b, `","u":"`...)
	b = append(b, n.owner.handle...)
	b = append(b, `","at":`...)
	b = appendString(b, n.attr)
	b = append(b, `,"ts":`...)
	b = strconv.AppendInt(b, n.ts, 10)
	c.end(f, b)
}

// send logs a packet of any other type with the given fields.
func (c *cause) send(f *feed, typ string, fields any) {
	b := c.head(f, typ, true)
	if body := mustJSON(fields); len(body) > 2 {
		b = append(b, ',')
		b = append(b, body[1:len(body)-1]...)
	}
	c.end(f, b)
}

// subtree takes pictures of n and all below it, parents first.
func (v viewer) subtree(n *node) []view { return v.appendSubtree(nil, n) }

// appendSubtree is subtree behind what is there. Room is made once: a million pictures are more than is copied for nothing.
func (v viewer) appendSubtree(all []view, n *node) []view {
	all = slices.Grow(all, n.nodes())
	n.walk(func(n *node) { all = append(all, v.look(n)) })
	return all
}

// mustJSON encodes what can't fail to encode.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("megatest: encoding an answer: " + err.Error())
	}
	return b
}
