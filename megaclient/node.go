package megaclient

import (
	"math"
	"time"

	"megadisk/megaclient/megacrypto"
)

// Node is a file or folder as the server describes it, decrypted as far as our keys go (PROTOCOL 3.2).
type Node struct {
	Handle  Handle
	Parent  Handle // "" for the three top folders; of an incoming share's root: a folder we can't see
	Owner   UserHandle
	Type    NodeType
	Size    int64 // bytes; files only
	Created int64 // server's time of creation, Unix seconds: not the mtime

	Key    []byte // plain, packed: 32 bytes (file) or 16 (folder); nil while it can't be decrypted
	RawKey string // k as the server sent it

	Attrs    megacrypto.Attributes // nil while they can't be decrypted
	RawAttrs string                // a as sent

	FileAttrs string     // fa: thumbnails and the like (PROTOCOL 3.8)
	Access    int        // what we may do, said only of the roots of incoming shares; else AccessOwner
	SharedBy  UserHandle // who shares it with us; roots of incoming shares only
	ShareRoot bool       // root of an incoming share
	Index     int        // place in the p command that made it, in answers and packets; else -1
	Version   bool       // it came as an older version (its parent is a file)
	// Foreign: the key came encrypted with RSA or for a share, so somebody else knows it, and may have chosen it. It must
	// never be sent encrypted with the master key: that would let its author pass it off as one of our own.
	Foreign bool
	Damaged bool // a file whose size is absent or impossible: to be treated as read-only
}

// Name gives the node's name: any string at all, even one that no file system could hold. It is
// false while attributes are unknown, and for nodes that have none.
func (n *Node) Name() (string, bool) { return n.Attrs.String("n") }

// maxUnix bounds times so that their nanoseconds fit an int64.
const maxUnix = math.MaxInt64 / int64(time.Second)

// clampUnix brings a time that somebody else chose into the range that time arithmetic survives.
func clampUnix(s int64) int64 { return max(-maxUnix, min(maxUnix, s)) }

// Mtime gives the time of last modification: that of the fingerprint (PROTOCOL 3.5) if the node has
// one, else the time when the server made the node.
func (n *Node) Mtime() time.Time {
	if c, ok := n.Attrs.String("c"); ok {
		if f, err := megacrypto.ParseFingerprint(c); err == nil {
			return time.Unix(clampUnix(f.Mtime), 0)
		}
	}
	return time.Unix(clampUnix(n.Created), 0)
}

// FileKey gives the key, nonce and MAC of a file's content; false for folders and unknown keys.
func (n *Node) FileKey() (megacrypto.FileKey, bool) {
	if n.Type != FileNode || n.Key == nil {
		return megacrypto.FileKey{}, false
	}
	k, err := megacrypto.UnpackFileKey(n.Key)
	return k, err == nil
}

// attributeKey gives the AES key of a node's attributes: a folder's key, or the first part of a
// file's unpacked one.
func attributeKey(t NodeType, key []byte) (megacrypto.Key, error) {
	if t == FileNode {
		k, err := megacrypto.UnpackFileKey(key)
		return k.Key, err
	}
	if len(key) != len(megacrypto.Key{}) {
		return megacrypto.Key{}, EKEY
	}
	return megacrypto.Key(key), nil
}

// DecryptAttrs decrypts attributes (PROTOCOL 3.4) with a node's plain, packed key.
func DecryptAttrs(t NodeType, key []byte, raw string) (megacrypto.Attributes, error) {
	k, err := attributeKey(t, key)
	if err != nil {
		return nil, err
	}
	return megacrypto.DecryptAttributes(k, raw)
}
