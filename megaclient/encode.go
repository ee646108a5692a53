package megaclient

import (
	"errors"
	"fmt"

	"megadisk/megaclient/megacrypto"
)

const (
	maxNodesPut = 1000 // PROTOCOL 5.4
	// maxAttributes is the longest attribute text that is sent: 64 KiB of plain JSON (PROTOCOL 3.4).
	maxAttributes = (64<<10 + 2) / 3 * 4
	placeholder   = "xxxxxxxx" // stands for the handle of a folder to be made
)

var errKeySize = errors.New("a key of the wrong length")

// checkKey refuses keys whose length does not fit the node's type.
func checkKey(t NodeType, key []byte) error {
	if t == FileNode && len(key) == 32 || t == FolderNode && len(key) == 16 {
		return nil
	}
	return errKeySize
}

// sealAttrs encrypts attributes and refuses what the server would.
func sealAttrs(t NodeType, key []byte, a megacrypto.Attributes) (string, error) {
	k, err := attributeKey(t, key)
	if err != nil {
		return "", err
	}
	text, err := megacrypto.EncryptAttributes(k, a)
	if err != nil {
		return "", fmt.Errorf("encrypting attributes: %w", err)
	}
	if len(text) > maxAttributes {
		return "", fmt.Errorf("attributes of %d bytes: %w", len(text), EARGS)
	}
	return text, nil
}

type putCommand struct {
	A  string          `json:"a"`
	I  string          `json:"i"`
	T  Handle          `json:"t"`
	VB int             `json:"vb,omitempty"`
	N  []putNode       `json:"n"`
	CR *cryptoResponse `json:"cr,omitempty"`
}

type putNode struct {
	H  string   `json:"h"`
	T  NodeType `json:"t"`
	A  string   `json:"a"`
	K  string   `json:"k"`
	OV Handle   `json:"ov,omitempty"`
	FA string   `json:"fa,omitempty"`
}

func (op PutNodes) encode(c *Client, tag string) (any, error) {
	if len(op.Nodes) == 0 || len(op.Nodes) > maxNodesPut {
		return nil, fmt.Errorf("creating %d nodes with one command: %w", len(op.Nodes), EARGS)
	}
	cmd := putCommand{A: "p", I: tag, T: op.Parent}
	keys := make([][]byte, len(op.Nodes))
	for i, n := range op.Nodes {
		if n.Replaces != "" {
			cmd.VB = 1
		}
		node, err := n.encode(c)
		if err != nil {
			return nil, err
		}
		cmd.N = append(cmd.N, node)
		keys[i] = n.Key
	}
	cmd.CR = c.newCR(op.Shares, nil, keys)
	return cmd, nil
}

func (n NewNode) encode(c *Client) (putNode, error) {
	if err := checkKey(n.Type, n.Key); err != nil {
		return putNode{}, err
	}
	attrs, err := sealAttrs(n.Type, n.Key, n.Attrs)
	if err != nil {
		return putNode{}, err
	}
	key, err := megacrypto.EncryptKey(c.masterKey(), n.Key)
	if err != nil {
		return putNode{}, err
	}
	token := n.Token
	if token == "" {
		if n.Type == FileNode {
			return putNode{}, fmt.Errorf("a file without an upload token: %w", EARGS)
		}
		token = placeholder
	}
	return putNode{H: token, T: n.Type, A: attrs, K: megacrypto.EncodeBase64(key), OV: n.Replaces, FA: n.FileAttrs}, nil
}

type moveCommand struct {
	A  string          `json:"a"`
	I  string          `json:"i"`
	N  Handle          `json:"n"`
	T  Handle          `json:"t"`
	CR *cryptoResponse `json:"cr,omitempty"`
}

func (op MoveNode) encode(c *Client, tag string) (any, error) {
	nodes, keys := splitKeyed(op.Moved)
	return moveCommand{A: "m", I: tag, N: op.Node, T: op.Parent, CR: c.newCR(op.Shares, nodes, keys)}, nil
}

// splitKeyed takes the nodes apart whose key is known.
func splitKeyed(keyed []KeyedNode) (nodes []Handle, keys [][]byte) {
	for _, k := range keyed {
		if len(k.Key) != 0 {
			nodes, keys = append(nodes, k.Handle), append(keys, k.Key)
		}
	}
	return nodes, keys
}

type attrsCommand struct {
	A  string `json:"a"`
	I  string `json:"i"`
	N  Handle `json:"n"`
	AT string `json:"at"`
}

func (op SetAttrs) encode(_ *Client, tag string) (any, error) {
	if err := checkKey(op.Type, op.Key); err != nil {
		return nil, err
	}
	attrs, err := sealAttrs(op.Type, op.Key, op.Attrs)
	if err != nil {
		return nil, err
	}
	return attrsCommand{A: "a", I: tag, N: op.Node, AT: attrs}, nil
}

type removeCommand struct {
	A string `json:"a"`
	I string `json:"i"`
	N Handle `json:"n"`
	V int    `json:"v,omitempty"`
}

func (op RemoveNode) encode(_ *Client, tag string) (any, error) {
	cmd := removeCommand{A: "d", I: tag, N: op.Node}
	if op.KeepVersions {
		cmd.V = 1
	}
	return cmd, nil
}

type exportCommand struct {
	A string `json:"a"`
	I string `json:"i"`
	N Handle `json:"n"`
	D int    `json:"d,omitempty"`
	E int64  `json:"ets,omitempty"`
}

func (op ExportNode) encode(_ *Client, tag string) (any, error) {
	cmd := exportCommand{A: "l", I: tag, N: op.Node}
	if op.Remove {
		cmd.D = 1
	}
	if !op.Expires.IsZero() {
		cmd.E = op.Expires.Unix()
	}
	return cmd, nil
}

type keysCommand struct {
	A  string          `json:"a"`
	I  string          `json:"i"`
	CR *cryptoResponse `json:"cr"`
}

func (op PutKeys) encode(c *Client, tag string) (any, error) {
	nodes, keys := splitKeyed(op.Nodes)
	cr := c.newCR(op.Shares, nodes, keys)
	if cr == nil {
		return nil, ErrNoShareKey
	}
	return keysCommand{A: "k", I: tag, CR: cr}, nil
}

// shareFolder shares a folder with a user, or with everybody who will have its link (PROTOCOL 7, s2).
type shareFolder struct {
	folder *Node
	key    megacrypto.Key
	below  []KeyedNode
	with   string // user handle, or exportUser
	access int
}

type shareCommand struct {
	A  string          `json:"a"`
	I  string          `json:"i"`
	N  Handle          `json:"n"`
	S  []shareTarget   `json:"s"`
	OK string          `json:"ok,omitempty"`
	HA string          `json:"ha,omitempty"`
	CR *cryptoResponse `json:"cr,omitempty"`
}

type shareTarget struct {
	U string `json:"u"`
	R *int   `json:"r,omitempty"` // nil takes the access back
}

// unshareFolder takes a user's access back.
type unshareFolder struct {
	folder Handle
	with   UserHandle
}

func (op unshareFolder) encode(_ *Client, tag string) (any, error) {
	return shareCommand{A: "s2", I: tag, N: op.folder, S: []shareTarget{{U: string(op.with)}}}, nil
}

func (op shareFolder) encode(c *Client, tag string) (any, error) {
	sealed, err := megacrypto.EncryptKey(c.masterKey(), op.key[:])
	if err != nil {
		return nil, err
	}
	auth := megacrypto.ShareAuth(c.masterKey(), string(op.folder.Handle))
	if c.isModern() { // its key stands in ^!keys, and here zeros in its place
		sealed, auth = make([]byte, len(sealed)), make([]byte, len(auth))
	}
	nodes, keys := splitKeyed(append([]KeyedNode{{op.folder.Handle, op.folder.Key}}, op.below...))
	return shareCommand{
		A: "s2", I: tag, N: op.folder.Handle, S: []shareTarget{{U: op.with, R: &op.access}},
		OK: megacrypto.EncodeBase64(sealed),
		HA: megacrypto.EncodeBase64(auth),
		CR: &cryptoResponse{shares: []Handle{op.folder.Handle}, keks: []megacrypto.Key{op.key}, nodes: nodes, keys: keys},
	}, nil
}
