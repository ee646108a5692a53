package megaclient

import (
	"encoding/json"
	"fmt"
)

// wirePacket holds the fields of all events that matter to nodes (PROTOCOL 8.3).
type wirePacket struct {
	A  string          `json:"a"`
	I  string          `json:"i"`
	T  json.RawMessage `json:"t"`
	N  json.RawMessage `json:"n"` // a node's handle; in ph a flag
	M  int             `json:"m"`
	OU UserHandle      `json:"ou"`
	O  UserHandle      `json:"o"`
	U  json.RawMessage `json:"u"` // a user; in c and t a list of them, in ph a flag
	AT string          `json:"at"`
	TS int64           `json:"ts"`
	FA string          `json:"fa"`
	H  Handle          `json:"h"`
	PH Handle          `json:"ph"`
	D  int             `json:"d"`
	// Down is 0 or 1 when a link is taken down or given back.
	Down *int     `json:"down"`
	R    *int     `json:"r"`
	K    string   `json:"k"`
	OK   string   `json:"ok"`
	HA   string   `json:"ha"`
	P    string   `json:"p"`
	UA   []string `json:"ua"`
	E    string   `json:"e"`
	S    int      `json:"s"`
}

// decodePackets reads events. In place of one that changes nodes and can't be understood there is a BadPacket: without
// it the tree would stay wrong, so it must be fetched anew (PROTOCOL 8.6), after the others were applied.
func (c *Client) decodePackets(raws []json.RawMessage) []Packet {
	packets := make([]Packet, 0, len(raws))
	for _, raw := range raws {
		p, err := c.decodePacket(raw)
		if err != nil {
			p = &BadPacket{err}
		}
		packets = append(packets, p)
	}
	return packets
}

func (c *Client) decodePacket(raw json.RawMessage) (Packet, error) {
	var w wirePacket
	if err := tolerant(json.Unmarshal(raw, &w)); err != nil {
		return nil, fmt.Errorf("%w: an event that is no object", ErrBadAnswer)
	}
	switch w.A {
	case "t":
		return c.nodesPacket(&w)
	case "u":
		return onNode(&w, &AttrsPacket{Tag: w.I, Node: w.node(), RawAttrs: w.AT, RawKey: w.K, Owner: w.user(), Created: max(0, clampUnix(w.TS))})
	case "d":
		return onNode(&w, &RemovePacket{Tag: w.I, Node: w.node(), Move: w.M == 1, Origin: w.OU})
	case "fa":
		return onNode(&w, &FileAttrsPacket{Tag: w.I, Node: w.node(), FileAttrs: w.FA})
	case "ph":
		if !validHandle(w.H) {
			return nil, fmt.Errorf("%w: a link without its node", ErrBadAnswer)
		}
		return &LinkPacket{Tag: w.I, Node: w.H, Public: w.PH, Removed: w.D == 1, Down: w.Down != nil && *w.Down == 1}, nil
	case "s", "s2":
		return c.sharePacket(&w)
	case "ua":
		return &UserAttrsPacket{Tag: w.I, User: w.user(), Names: w.UA}, nil
	case "c":
		return &UsersPacket{Tag: w.I, Users: decodeUsers(w.U)}, nil
	case "se":
		return w.emailPacket(), nil
	case "pk":
		return &PendingKeysPacket{Tag: w.I}, nil
	case "psts", "psts_v2", "pses", "ftr", "sqac":
		return &QuotaPacket{Tag: w.I}, nil
	}
	return &OtherPacket{Tag: w.I, Type: w.A}, nil
}

// onNode refuses an event that must name a node and doesn't.
func onNode(w *wirePacket, p Packet) (Packet, error) {
	if !validHandle(w.node()) {
		return nil, fmt.Errorf("%w: an event (%s) without its node", ErrBadAnswer, w.A)
	}
	return p, nil
}

// text reads a value that should be a string; "" if it is something else.
func text(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func (w *wirePacket) node() Handle { return Handle(text(w.N)) }

func (w *wirePacket) user() UserHandle {
	if u := UserHandle(text(w.U)); validUser(u) {
		return u
	}
	return ""
}

// emailAccepted is the state of a new address that its owner has confirmed.
const emailAccepted = 3

// emailPacket reads that somebody has, or once will have, another address.
func (w *wirePacket) emailPacket() Packet {
	p := &UsersPacket{Tag: w.I}
	if u := w.user(); u != "" && w.S == emailAccepted {
		p.Users = []User{{Handle: u, Email: validEmail(w.E)}}
	}
	return p
}

// nodesPacket reads new or moved nodes. Entries without a handle are left out, as in the full fetch.
func (c *Client) nodesPacket(w *wirePacket) (Packet, error) {
	var tree struct {
		F  []json.RawMessage `json:"f"`
		F2 []json.RawMessage `json:"f2"`
		U  json.RawMessage   `json:"u"`
	}
	if err := tolerant(json.Unmarshal(w.T, &tree)); err != nil {
		return nil, fmt.Errorf("%w: an event of nodes without any", ErrBadAnswer)
	}
	p := &NodesPacket{Tag: w.I, Origin: w.OU, Users: append(decodeUsers(tree.U), decodeUsers(w.U)...)}
	files := make(map[Handle]bool)
	for i, list := range [][]json.RawMessage{tree.F, tree.F2} {
		for _, raw := range list {
			n, ok := c.decodeNode(raw)
			if !ok {
				continue
			}
			n.Version = i == 1 || files[n.Parent]
			files[n.Handle] = n.Type == FileNode
			p.Nodes = append(p.Nodes, n)
		}
	}
	return p, nil
}

// sharePacket reads one of the three forms of share events, and learns a key that comes with it.
func (c *Client) sharePacket(w *wirePacket) (Packet, error) {
	h := w.node()
	p := &SharePacket{Tag: w.I, Node: h, Owner: w.O, User: w.user(), Link: text(w.U) == exportUser, Pending: w.P != ""}
	switch {
	case w.R != nil:
		p.Access = *w.R
	case w.O == "" && w.K != "":
		p.KeyOnly = true
	default:
		p.Removed = true
	}
	if _, err := onNode(w, p); err != nil {
		return nil, err
	}
	switch {
	case w.O == c.session.User:
		c.noteOwnShare(h)
	case validUser(w.O) && p.User == c.session.User:
		c.noteIncoming(h)
	}
	if w.OK != "" {
		c.learnOwnShare(h, w.OK, w.HA)
	} else if key, ok := c.openShareKey(w.K); ok && (p.User == "" || p.User == c.session.User) && !p.Link {
		c.learnShare(h, key, fromServer)
	}
	return p, nil
}
