package megaclient

import (
	"bytes"
	"errors"
	"strings"
	"sync"

	"megadisk/megaclient/megacrypto"
)

const (
	handleLength = 8
	userLength   = 11
	sidLength    = 43 // bytes

	// Lengths of encrypted keys in base64; whatever is longer is encrypted with RSA (PROTOCOL 3.3).
	folderKeyText = 22
	fileKeyText   = 43
)

// validText says that s is base64 of the length given, as handles are.
func validText(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

func validHandle(h Handle) bool   { return validText(string(h), handleLength) }
func validUser(u UserHandle) bool { return validText(string(u), userLength) }

// keySource says where a share key came from; a better source is never overruled by a lesser one.
type keySource int

const (
	fromServer  keySource = iota + 1 // sk, k: as the server says
	fromCaller                       // AddShareKeys, not proven
	fromPeer                         // from the user who shares, encrypted between the two of us
	fromBefore                       // AddShareKeys, proven in an earlier run
	fromOwner                        // made here, or ok with its proof that we made it
	fromAccount                      // ^!keys, which only the account's own clients can write
)

// proven says that a key can be believed to be that of a folder of our own. The word of the server, or of whom
// it calls a peer, is not enough: it could name a key that it knows, and everything put into that folder would be
// encrypted for it.
func (s keySource) proven() bool { return s >= fromBefore }

// ShareKey is the key of a shared folder.
type ShareKey struct {
	Key megacrypto.Key
	// Proven: it was made by a client of this account. Only such a key may open a folder of our own to others;
	// any other is good for a folder that somebody shares with us, and for nothing else.
	Proven bool
}

type shareKey struct {
	key    megacrypto.Key
	source keySource
}

// privateKey is the account's RSA key, decrypted when first needed.
type privateKey struct {
	once sync.Once
	key  *megacrypto.PrivateKey
	err  error
}

var errNoPrivateKey = errors.New("the account has no RSA key")

func (c *Client) privateKey() (*megacrypto.PrivateKey, error) {
	c.rsa.once.Do(func() {
		c.rsa.key, c.rsa.err = openPrivateKey(c.masterKey(), c.session.PrivateKey)
	})
	return c.rsa.key, c.rsa.err
}

func openPrivateKey(master megacrypto.Key, encrypted string) (*megacrypto.PrivateKey, error) {
	if encrypted == "" {
		return nil, errNoPrivateKey
	}
	raw, err := megacrypto.DecodeBase64(encrypted)
	if err != nil {
		return nil, err
	}
	plain, err := megacrypto.DecryptKey(master, raw)
	if err != nil {
		return nil, err
	}
	return megacrypto.ParsePrivateKey(plain)
}

// openKey decrypts a key of n bytes: with kek, or with the account's RSA key if it is too long for that.
func (c *Client) openKey(kek megacrypto.Key, text string, n int) ([]byte, bool) {
	raw, err := megacrypto.DecodeBase64(text)
	if err != nil {
		return nil, false
	}
	if len(text) <= fileKeyText {
		if len(raw) != n {
			return nil, false
		}
		key, err := megacrypto.DecryptKey(kek, raw)
		return key, err == nil
	}
	rsa, err := c.privateKey()
	if err != nil {
		return nil, false
	}
	key, err := rsa.Decrypt(raw, n)
	return key, err == nil
}

// openShareKey decrypts a share key meant for us. Zeros stand for "see ^!keys" (PROTOCOL 3.10).
func (c *Client) openShareKey(text string) (megacrypto.Key, bool) {
	if text == "" || strings.Trim(text, "A") == "" {
		return megacrypto.Key{}, false
	}
	key, ok := c.openKey(c.masterKey(), text, len(megacrypto.Key{}))
	if !ok {
		return megacrypto.Key{}, false
	}
	return megacrypto.Key(key), true
}

// learnOwnShare takes up the key of an own outgoing share if its authentication holds: without, a
// server could have us encrypt for a key of its choice.
func (c *Client) learnOwnShare(h Handle, key, auth string) {
	c.noteOwnShare(h)
	given, err := megacrypto.DecodeBase64(auth)
	if err != nil || !validHandle(h) || !bytes.Equal(given, megacrypto.ShareAuth(c.masterKey(), string(h))) {
		return
	}
	if len(key) != folderKeyText || c.isModern() { // a modern account's keys are in ^!keys; ha proves who, not which key
		return
	}
	if k, ok := c.openShareKey(key); ok {
		c.learnShare(h, k, fromOwner)
	}
}

// noteOwnShare remembers that a folder is one that we share. A key for it that is not proven is forgotten.
func (c *Client) noteOwnShare(h Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ownShares[h] = struct{}{}
	if k, known := c.shares[h]; known && !k.source.proven() {
		delete(c.shares, h)
	}
}

// noteIncoming remembers that a folder is one that another user shares with us.
func (c *Client) noteIncoming(h Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.incoming[h] = struct{}{}
}

func (c *Client) learnShare(h Handle, key megacrypto.Key, source keySource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, own := c.ownShares[h]; own && !source.proven() {
		return
	}
	if c.shares[h].source <= source {
		c.shares[h] = shareKey{key, source}
	}
}

// LinkKey is the key by which the public link of a folder of our own opens; false if it isn't known.
func (c *Client) LinkKey(folder Handle) (megacrypto.Key, bool) { return c.ownKey(folder) }

func (c *Client) shareKey(h Handle) (megacrypto.Key, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.shares[h]
	return k.key, ok
}

// believedLocked says that k may open a folder to others: it is proven, or the folder is not ours in the first place.
func (c *Client) believedLocked(h Handle, k shareKey) bool {
	_, own := c.ownShares[h]
	_, incoming := c.incoming[h]
	return k.source.proven() || incoming && !own
}

// ownKey is the key under which a folder of our own may be opened to others.
func (c *Client) ownKey(h Handle) (megacrypto.Key, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.shares[h]
	return k.key, k.source.proven()
}

// givingKey is the key of a share for which keys of other nodes may be encrypted.
func (c *Client) givingKey(h Handle) (megacrypto.Key, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, known := c.shares[h]
	return k.key, known && c.believedLocked(h, k)
}

// ShareKeys gives the share keys known, for the caller to keep until the next run: they can't all
// be had again (PROTOCOL 3.10). A key of which nothing but the server says that it belongs to a share is left out.
func (c *Client) ShareKeys() map[Handle]ShareKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := make(map[Handle]ShareKey, len(c.shares))
	for h, k := range c.shares {
		if c.believedLocked(h, k) {
			keys[h] = ShareKey{k.key, k.source.proven()}
		}
	}
	return keys
}

// AddShareKeys brings back what ShareKeys gave in an earlier run.
func (c *Client) AddShareKeys(m map[Handle]ShareKey) {
	for h, k := range m {
		source := fromBefore
		if !k.Proven {
			source = fromCaller
			c.noteIncoming(h)
		}
		c.learnShare(h, k.Key, source)
	}
}

// Unlock decrypts a node's key and attributes as far as it has not been done and as far as the keys
// known now allow. It says whether the node has both.
func (c *Client) Unlock(n *Node) bool {
	if n.Type >= RootNode {
		return true
	}
	if n.Key != nil && n.Attrs != nil {
		return true
	}
	size := len(megacrypto.Key{})
	if n.Type == FileNode {
		size *= 2
	}
	if len(n.Key) == size {
		n.Attrs, _ = DecryptAttrs(n.Type, n.Key, n.RawAttrs)
		return n.Attrs != nil
	}
	for kek, text := range c.keyEntries(n.RawKey) {
		if key, ok := c.openKey(kek, text, size); ok && n.accept(key) {
			n.Foreign = kek != c.masterKey() || len(text) > fileKeyText
			return n.Attrs != nil
		}
	}
	return false
}

// accept takes a key if it opens the attributes, which is the only proof that it is the right one; a
// node without any has to do without.
func (n *Node) accept(key []byte) bool {
	if n.RawAttrs == "" {
		n.Key = key
		return true
	}
	attrs, err := DecryptAttrs(n.Type, key, n.RawAttrs)
	if err != nil {
		return false
	}
	n.Key, n.Attrs = key, attrs
	return true
}

// keyEntries goes through the encrypted keys of a node that we have a key for, our own entry first
// (PROTOCOL 3.3): each with the key to open it.
func (c *Client) keyEntries(raw string) func(yield func(megacrypto.Key, string) bool) {
	return func(yield func(megacrypto.Key, string) bool) {
		for entry := range strings.SplitSeq(raw, "/") {
			owner, text, ok := strings.Cut(entry, ":")
			if !ok {
				text = entry
			}
			if (!ok || owner == string(c.session.User)) && text != "" && !yield(c.masterKey(), text) {
				return
			}
		}
		for entry := range strings.SplitSeq(raw, "/") {
			owner, text, ok := strings.Cut(entry, ":")
			if !ok || len(owner) != handleLength {
				continue
			}
			if c.link != nil { // nothing but its own key opens what a link shows
				if !yield(c.masterKey(), text) {
					return
				}
				continue
			}
			if kek, known := c.shareKey(Handle(owner)); known && !yield(kek, text) {
				return
			}
		}
	}
}
