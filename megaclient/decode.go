package megaclient

import (
	"bytes"
	"encoding/json"
	"errors"
)

// wireNode is a node as it comes (PROTOCOL 3.2).
type wireNode struct {
	H  Handle     `json:"h"`
	P  Handle     `json:"p"`
	U  UserHandle `json:"u"`
	T  int        `json:"t"`
	A  string     `json:"a"`
	K  string     `json:"k"`
	S  int64      `json:"s"`
	TS int64      `json:"ts"`
	FA string     `json:"fa"`
	R  int        `json:"r"`
	SU UserHandle `json:"su"`
	SK string     `json:"sk"`
	I  int        `json:"i"`
}

// absent is a node without any of its numbers; what comes in their place as something else than a
// number leaves them like this.
var absent = wireNode{T: -1, S: -1, R: -1, I: -1}

// maxFileSize bounds what is believed of a size: beyond, arithmetic could overflow.
const maxFileSize = 1 << 50

// tolerant lets a value of the wrong type pass: it stays at its zero, the rest has been decoded.
func tolerant(err error) error {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return nil
	}
	return err
}

// decodeNode reads a node and decrypts it as far as possible. It is false only for what has no handle
// or type: everything else, however damaged, is a node.
func (c *Client) decodeNode(raw []byte) (*Node, bool) {
	w := absent
	if tolerant(json.Unmarshal(raw, &w)) != nil {
		return nil, false
	}
	n, ok := w.node()
	if !ok {
		return nil, false
	}
	if c.link != nil {
		n.ShareRoot, n.SharedBy = false, "" // a link shows no shares
	}
	if n.ShareRoot && n.SharedBy != c.session.User {
		c.noteIncoming(n.Handle)
		if key, ok := c.openShareKey(w.SK); ok {
			c.learnShare(n.Handle, key, fromServer)
		}
	}
	c.Unlock(n)
	if c.link != nil {
		c.asRoot(n)
	}
	return n, true
}

// node turns what came into a Node, still encrypted, believing nothing.
func (w *wireNode) node() (*Node, bool) {
	if !validHandle(w.H) || w.T < int(FileNode) || w.T > int(RubbishNode) {
		return nil, false
	}
	n := &Node{
		Handle: w.H, Type: NodeType(w.T), Created: max(0, clampUnix(w.TS)),
		RawKey: w.K, RawAttrs: w.A, FileAttrs: w.FA, Access: AccessOwner, Index: -1,
	}
	if validHandle(w.P) {
		n.Parent = w.P
	}
	if validUser(w.U) {
		n.Owner = w.U
	}
	if n.Type == FileNode {
		if n.Damaged = w.S < 0 || w.S > maxFileSize; !n.Damaged {
			n.Size = w.S
		}
	}
	if w.R >= AccessRead && w.R <= AccessOwner {
		n.Access = w.R
	}
	if validUser(w.SU) {
		n.SharedBy, n.ShareRoot = w.SU, true
	}
	if w.I >= 0 {
		n.Index = w.I
	}
	return n, true
}

// bringsShareKey says that a raw node may carry a share key, which must be learned before the nodes
// after it are decrypted.
func bringsShareKey(raw []byte) bool { return bytes.Contains(raw, []byte(`"sk"`)) }
