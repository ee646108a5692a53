package megaclient

import (
	"time"

	"megadisk/megaclient/megacrypto"
)

// Op is one change, made by a command of a Batch: PutNodes, MoveNode, SetAttrs, RemoveNode,
// ExportNode or PutKeys.
type Op interface {
	// encode gives the command with its tag.
	encode(c *Client, tag string) (any, error)
}

// PutNodes creates nodes in a folder (PROTOCOL 5.4). The result has them in Nodes, to be matched by
// key, not by position.
type PutNodes struct {
	Parent Handle
	Nodes  []NewNode // at most 1000
	Shares []Handle  // share roots that the parent lies in or is; those whose key is known get the new nodes' keys
}

// NewNode is a node to create.
type NewNode struct {
	Token     string // upload token in base64; "" for a folder; a node's Handle for a copy made by the server
	Type      NodeType
	Key       []byte // plain, packed; of a copy: its source's
	Attrs     megacrypto.Attributes
	Replaces  Handle // the file that this one is a new version of (PROTOCOL 5.5)
	FileAttrs string
}

// MoveNode moves a node with all below it. Handle, key and attributes stay.
type MoveNode struct {
	Node, Parent Handle
	Shares       []Handle    // share roots that the new parent lies in or is
	Moved        []KeyedNode // the moved nodes, whose keys those shares get
}

// SetAttrs replaces a node's attributes, all of them: also those it doesn't know must be in Attrs.
type SetAttrs struct {
	Node  Handle
	Type  NodeType
	Key   []byte // plain, packed
	Attrs megacrypto.Attributes
}

// RemoveNode removes a node for good with all below it and its older versions.
type RemoveNode struct {
	Node         Handle
	KeepVersions bool // only this one version goes, the chain is joined
}

// ExportNode makes (or takes back) a public link. The result has its handle in Link. A folder must
// have been shared with everybody before, which ExportLink does.
type ExportNode struct {
	Node    Handle
	Remove  bool
	Expires time.Time // zero: never
}

// PutKeys gives shares the keys of nodes that are in them already (PROTOCOL 7, command k).
type PutKeys struct {
	Shares []Handle
	Nodes  []KeyedNode
}

// Result is the fate of one Op.
type Result struct {
	Err   error   // *Error when the server refused it
	Nodes []*Node // what PutNodes made, keys decrypted
	Link  Handle  // what ExportNode made
	// NodeErrs has the refused ones of a PutNodes that was done in part, by their index.
	NodeErrs map[int]error
}

// Moment is a point in time that only this run of the process can interpret.
type Moment struct {
	Boot  string `json:"boot,omitempty" cbor:"1,keyasint,omitempty"`  // the kernel's boot id
	Nanos int64  `json:"nanos,omitempty" cbor:"2,keyasint,omitempty"` // CLOCK_BOOTTIME: counts sleep
}

// IsZero says that it never happened.
func (m Moment) IsZero() bool { return m == Moment{} }

// Batch is a request in its exact bytes. The caller stores it before Execute sends it.
type Batch struct {
	ID        string   `json:"id" cbor:"1,keyasint"`   // request id
	Body      []byte   `json:"body" cbor:"2,keyasint"` // what is sent, always the same
	Tags      []string `json:"tags" cbor:"3,keyasint"` // the i of each operation: its packets carry it
	Run       string   `json:"run" cbor:"4,keyasint"`  // the run of the process that prepared it
	FirstSent Moment   `json:"firstSent" cbor:"5,keyasint,omitempty"`

	doubt bool // a try may have been executed
}
