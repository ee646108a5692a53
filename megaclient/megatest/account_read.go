package megatest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"megadisk/megaclient/megacrypto"
)

// ErrContent means that stored content doesn't fit the MAC in its key.
var ErrContent = errors.New("megatest: content and MAC do not fit")

// pick is what the trusted client takes out of the server's tree, under its lock.
type pick struct {
	view
	typ  int8
	size int64
	blob *blob
	path string
}

// pick finds a node; it panics when there is none.
func (a *Account) pick(handle string) pick {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	n := a.s.nodes[handle]
	if n == nil {
		panic("megatest: there is no node " + handle)
	}
	return a.pickLocked(n)
}

func (a *Account) pickLocked(n *node) pick {
	return pick{view: viewer{user: a.user}.look(n), typ: n.typ, size: n.size, blob: n.blob}
}

// open decrypts a node's key and attributes.
func (a *Account) open(handle string) (packed []byte, attrs megacrypto.Attributes) {
	packed, attrs, err := a.decrypt(a.pick(handle))
	if err != nil {
		panic(fmt.Sprintf("megatest: opening node %s: %v", handle, err))
	}
	return packed, attrs
}

// CanRead tells whether the account has a node's key: what lies in a share may have none for it.
func (a *Account) CanRead(handle string) bool {
	_, _, err := a.decrypt(a.pick(handle))
	return err == nil
}

// decrypt decrypts a node's key and attributes.
func (a *Account) decrypt(p pick) (packed []byte, attrs megacrypto.Attributes, err error) {
	packed, err = a.nodeKey(p)
	if err != nil {
		return nil, nil, err
	}
	attrs, err = megacrypto.DecryptAttributes(attrKey(packed), p.attr)
	return packed, attrs, err
}

// nodeKey decrypts the key of a node: with the master key, by RSA, or with a share's key.
func (a *Account) nodeKey(p pick) ([]byte, error) {
	raw, err := b64.DecodeString(p.key)
	if err != nil {
		return nil, fmt.Errorf("decoding a node key: %w", err)
	}
	size := 32
	if p.typ != fileNode {
		size = 16
	}
	switch {
	case p.holder == a.Handle && len(raw) > 32:
		return a.rsa.Decrypt(raw, size)
	case p.holder == a.Handle:
		return megacrypto.DecryptKey(a.master, raw)
	}
	key, found := a.shareKey(p.holder)
	if !found {
		return nil, fmt.Errorf("megatest: no key of share %q", p.holder)
	}
	return megacrypto.DecryptKey(key, raw)
}

// attrKey is the key that attributes are encrypted with: the file's AES key or the folder's key.
func attrKey(packed []byte) megacrypto.Key {
	if k, err := megacrypto.UnpackFileKey(packed); err == nil {
		return k.Key
	}
	var k megacrypto.Key
	copy(k[:], packed)
	return k
}

// Name returns a node's name.
func (a *Account) Name(handle string) string {
	_, attrs := a.open(handle)
	name, _ := attrs.String("n")
	return name
}

// Attrs returns a node's attributes.
func (a *Account) Attrs(handle string) megacrypto.Attributes {
	_, attrs := a.open(handle)
	return attrs
}

// Key returns a node's decrypted, packed key.
func (a *Account) Key(handle string) []byte {
	packed, _ := a.open(handle)
	return packed
}

// Parent returns the handle of the folder that a node is in; of an older version, that of the next newer one.
func (a *Account) Parent(handle string) string { return a.pick(handle).parent }

// Exists tells whether there is a node of that handle, wherever it is.
func (a *Account) Exists(handle string) bool {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.s.nodes[handle] != nil
}

// InRubbish tells whether a node is in the bin.
func (a *Account) InRubbish(handle string) bool {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	n := a.s.nodes[handle]
	return n != nil && n.root() == n.owner.rubbish
}

// Versions returns the handles of a file and its older versions, newest first.
func (a *Account) Versions(handle string) []string {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	var all []string
	for n := a.s.nodes[handle]; n != nil; n = n.first {
		all = append(all, n.handle)
	}
	return all
}

// ReadFile decrypts a file's content and checks it against the MAC in its key. It panics if that fails.
func (a *Account) ReadFile(handle string) []byte {
	p := a.pick(handle)
	packed, err := a.nodeKey(p)
	if err != nil {
		panic(fmt.Sprintf("megatest: opening node %s: %v", handle, err))
	}
	content := make([]byte, 0, p.size)
	err = a.readContent(p, packed, func(chunk []byte) { content = append(content, chunk...) })
	if err != nil {
		panic(fmt.Sprintf("megatest: reading node %s: %v", handle, err))
	}
	return content
}

// readContent decrypts a file chunk by chunk and checks its MAC at the end.
func (a *Account) readContent(p pick, packed []byte, fn func([]byte)) error {
	key, err := megacrypto.UnpackFileKey(packed)
	if err != nil {
		return err
	}
	c := megacrypto.NewCipher(key)
	var macs []megacrypto.ChunkMAC
	buf := make([]byte, min(p.size, 1<<20))
	for i := range megacrypto.ChunkCount(p.size) {
		start, end := megacrypto.ChunkBounds(i, p.size)
		chunk := buf[:end-start]
		if n, err := p.blob.data.ReadAt(chunk, start); n < len(chunk) {
			return fmt.Errorf("megatest: reading stored content: %w", err)
		}
		c.XORKeyStreamAt(chunk, chunk, start)
		macs = append(macs, c.ChunkMAC(chunk))
		fn(chunk)
	}
	if p.size == 0 {
		return nil // clients disagree about the MAC of nothing
	}
	if _, err := c.CheckMAC(p.size, macs, key.MAC); err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	return nil
}

// Entry is one file or folder of a Tree.
type Entry struct {
	Handle string
	Dir    bool
	Size   int64
	Mtime  time.Time // zero when the file has none
	Hash   [sha256.Size]byte
	Attrs  megacrypto.Attributes
	Err    error // it can't be decrypted, or its content is wrong
}

// Tree lists the drive: everything below the root by its path, with the hash of what it contains. What
// has the name of an older sibling has "#" and its handle behind the path; what can't be decrypted has
// that in place of a name. Older versions aren't listed.
func (a *Account) Tree() map[string]Entry { return a.TreeBelow(a.Root()) }

// TreeBelow is Tree for any folder.
func (a *Account) TreeBelow(folder string) map[string]Entry {
	tree := map[string]Entry{}
	for _, p := range a.list(folder) {
		e := Entry{Handle: p.n.handle, Dir: p.typ != fileNode, Size: p.size}
		packed, attrs, err := a.decrypt(p)
		e.Attrs, e.Err = attrs, err
		if err == nil && !e.Dir {
			if c, found := attrs.String("c"); found {
				if print, err := megacrypto.ParseFingerprint(c); err == nil {
					e.Mtime = time.Unix(print.Mtime, 0)
				}
			}
			h := sha256.New()
			e.Err = a.readContent(p, packed, func(b []byte) { h.Write(b) })
			h.Sum(e.Hash[:0])
		}
		tree[p.path] = e
	}
	return tree
}

// list collects what is below a folder, with paths.
func (a *Account) list(folder string) []pick {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	top := a.s.nodes[folder]
	if top == nil {
		panic("megatest: there is no node " + folder)
	}
	var all []pick
	var below func(dir *node, prefix string)
	below = func(dir *node, prefix string) {
		taken := map[string]bool{}
		for n := dir.first; n != nil; n = n.next {
			p := a.pickLocked(n)
			name := ""
			if _, attrs, err := a.decrypt(p); err == nil {
				name, _ = attrs.String("n")
			}
			if name == "" || taken[name] {
				name += "#" + n.handle
			}
			taken[name] = true
			p.path = prefix + name
			all = append(all, p)
			if n.isFolder() {
				below(n, p.path+"/")
			}
		}
	}
	below(top, "")
	return all
}

// Find returns the handle of what has that path in the drive, "" if there is nothing.
func (a *Account) Find(path string) string {
	for _, p := range a.list(a.Root()) {
		if p.path == path {
			return p.n.handle
		}
	}
	return ""
}
