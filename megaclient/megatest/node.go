package megatest

import "slices"

// Node types (PROTOCOL 3.2).
const (
	fileNode    = 0
	folderNode  = 1
	rootNode    = 2
	vaultNode   = 3
	rubbishNode = 4
)

// maxAttrChars bounds a node's attributes as they stand on the wire: 64 KiB encrypted, in base64.
const maxAttrChars = (64<<10)*4/3 + 4

// nodeKey is one entry of a node's key list. Holder is a user handle (key under that user's master
// key) or the handle of a share root (key under that share's key).
type nodeKey struct{ holder, key string }

// node is one node of an account's tree. Children hang in a linked list, so that attaching,
// detaching and walking cost nothing extra however large a folder is. All fields that can change are
// GUARDED_BY(Server.mu); handle, typ, size, ts, owner and blob never change.
type node struct {
	handle string
	owner  *user
	typ    int8
	size   int64
	ts     int64
	blob   *blob

	parent      *node
	first, last *node // children; of a file: its previous version
	next, prev  *node // siblings
	attr        string
	fa          string
	keys        []nodeKey // copy on write: snapshots share it
	share       *share    // outgoing share, nil if none
	link        *link     // public link, nil if none
	below       *tally    // what hangs below, nil if nothing ever did
}

// isFolder tells whether things can be put into n.
func (n *node) isFolder() bool { return n.typ != fileNode }

// isVersion tells whether n is an older version of a file.
func (n *node) isVersion() bool { return n.parent != nil && n.parent.typ == fileNode }

// within tells whether n is a or lies below a.
func (n *node) within(a *node) bool {
	for ; n != nil; n = n.parent {
		if n == a {
			return true
		}
	}
	return false
}

// root returns the topmost node above n.
func (n *node) root() *node {
	for n.parent != nil {
		n = n.parent
	}
	return n
}

// setKey adds or replaces the key that holder has for n.
func (n *node) setKey(holder, key string) {
	keys := slices.Clone(n.keys)
	for i := range keys {
		if keys[i].holder == holder {
			keys[i].key = key
			n.keys = keys
			return
		}
	}
	n.keys = append(keys, nodeKey{holder, key})
}

// keyFor returns the key that holder has for n.
func (n *node) keyFor(holder string) (string, bool) {
	for _, k := range n.keys {
		if k.holder == holder {
			return k.key, true
		}
	}
	return "", false
}

// walk calls fn for n and all below it, parents first, older versions included.
func (n *node) walk(fn func(*node)) {
	fn(n)
	for c := n.first; c != nil; c = c.next {
		c.walk(fn)
	}
}

// attach makes n the last child of parent.
func (n *node) attach(parent *node) {
	n.parent = parent
	n.prev = parent.last
	n.next = nil
	if parent.last != nil {
		parent.last.next = n
	} else {
		parent.first = n
	}
	parent.last = n
	parent.count(n.total(), 1)
}

// detach takes n out of its parent's list.
func (n *node) detach() {
	p := n.parent
	p.count(n.total(), -1)
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		p.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		p.last = n.prev
	}
	n.parent, n.next, n.prev = nil, nil, nil
}
