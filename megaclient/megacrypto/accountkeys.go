package megacrypto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrAccountKeys means that a `^!keys` attribute doesn't decrypt with the master key, or is malformed.
var ErrAccountKeys = errors.New("the account's ^!keys attribute does not decrypt")

// AccountKeys is the `^!keys` attribute of a current account (PROTOCOL 3.10), as far as a client
// needs it that only reads. It must never be written by this program: what it doesn't know would be
// lost to the account's other clients.
type AccountKeys struct {
	Version         byte
	Created         uint32 // Unix seconds
	Identity        string // user handle, base64
	Generation      uint32
	Ed25519Private  []byte
	Cu25519Private  []byte
	RSAPrivate      []byte                    // as MPIs, plain
	ShareKeys       map[string]Key            // by node handle, base64
	TrustedShares   map[string]bool           // of those, which ones the account marks as trusted
	SigningKeys     map[string]MetKey         // Ed25519 keys of others, by user handle, base64
	ExchangeKeys    map[string]MetKey         // Cu25519 keys of others
	PendingInShares map[string]PendingInShare // by node handle, base64
}

// String hides the keys from logs.
func (AccountKeys) String() string { return redacted }

// GoString hides the keys from %#v.
func (AccountKeys) GoString() string { return redacted }

// Format hides the keys from every verb.
func (AccountKeys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MetKey is a public key of another user as the account's clients have met it.
type MetKey struct {
	Credentials Credentials
	Compared    bool // of an Ed25519 key: a person has compared the fingerprint
}

// PendingInShare is the key of an incoming share that wasn't accepted as genuine yet: it is still
// encrypted between the two users.
type PendingInShare struct {
	User string // who shares, user handle in base64
	Key  []byte // encrypted
}

const (
	keysMagic0, keysMagic1 = 0x14, 0x00
	keysNonceSize          = 12
)

// ParseAccountKeys decrypts and reads the attribute. Records that it doesn't know are skipped. The
// error is ErrAccountKeys.
func ParseAccountKeys(mk Key, blob []byte) (AccountKeys, error) {
	plain, err := openAccountKeys(mk, blob)
	if err != nil {
		return AccountKeys{}, err
	}
	k := AccountKeys{ShareKeys: map[string]Key{}, TrustedShares: map[string]bool{}, PendingInShares: map[string]PendingInShare{}}
	k.SigningKeys, k.ExchangeKeys = map[string]MetKey{}, map[string]MetKey{}
	for len(plain) > 0 {
		if len(plain) < 4 {
			return AccountKeys{}, fmt.Errorf("%w: a record cut short", ErrAccountKeys)
		}
		n := int(plain[1])<<16 | int(plain[2])<<8 | int(plain[3])
		if len(plain)-4 < n {
			return AccountKeys{}, fmt.Errorf("%w: a record cut short", ErrAccountKeys)
		}
		if err := k.record(plain[0], plain[4:4+n]); err != nil {
			return AccountKeys{}, err
		}
		plain = plain[4+n:]
	}
	return k, nil
}

func openAccountKeys(mk Key, blob []byte) ([]byte, error) {
	if len(blob) < 2+keysNonceSize || blob[0] != keysMagic0 || blob[1] != keysMagic1 {
		return nil, fmt.Errorf("%w: unknown form", ErrAccountKeys)
	}
	gcm, err := accountKeysCipher(mk)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAccountKeys, err)
	}
	plain, err := gcm.Open(nil, blob[2:2+keysNonceSize], blob[2+keysNonceSize:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAccountKeys, err)
	}
	return plain, nil
}

func accountKeysCipher(mk Key) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, mk[:], nil, "\x01", len(mk))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Tags of the records that are read.
const (
	tagVersion         = 1
	tagCreated         = 2
	tagIdentity        = 3
	tagGeneration      = 4
	tagEd25519         = 16
	tagCu25519         = 17
	tagRSA             = 18
	tagSigningKeys     = 32
	tagExchangeKeys    = 33
	tagShareKeys       = 48
	tagPendingInShares = 65
)

func (k *AccountKeys) record(tag byte, value []byte) error {
	size := map[byte]int{tagVersion: 1, tagCreated: 4, tagIdentity: 8, tagGeneration: 4}
	if want, fixed := size[tag]; fixed && len(value) != want {
		return fmt.Errorf("%w: record %d has %d bytes", ErrAccountKeys, tag, len(value))
	}
	switch tag {
	case tagVersion:
		k.Version = value[0]
	case tagCreated:
		k.Created = binary.BigEndian.Uint32(value)
	case tagIdentity:
		k.Identity = EncodeBase64(value)
	case tagGeneration:
		k.Generation = binary.BigEndian.Uint32(value)
	case tagEd25519:
		k.Ed25519Private = bytes.Clone(value)
	case tagCu25519:
		k.Cu25519Private = bytes.Clone(value)
	case tagRSA:
		k.RSAPrivate = bytes.Clone(value)
	case tagSigningKeys:
		metKeys(k.SigningKeys, value)
	case tagExchangeKeys:
		metKeys(k.ExchangeKeys, value)
	case tagShareKeys:
		return k.shareKeys(value)
	case tagPendingInShares:
		return k.pendingInShares(value)
	}
	return nil
}

const (
	shareKeyRecord  = 6 + 16 + 1 // handle, key, flags
	shareKeyTrusted = 1          // flag bit
)

func (k *AccountKeys) shareKeys(value []byte) error {
	if len(value)%shareKeyRecord != 0 {
		return fmt.Errorf("%w: share keys of %d bytes", ErrAccountKeys, len(value))
	}
	for ; len(value) > 0; value = value[shareKeyRecord:] {
		handle := EncodeBase64(value[:6])
		k.ShareKeys[handle] = Key(value[6:22])
		k.TrustedShares[handle] = value[22]&shareKeyTrusted != 0
	}
	return nil
}

const (
	metKeyRecord   = 8 + len(Credentials{}) + 1 // user handle, credentials, how they were met
	metKeyCompared = 1                          // 0: seen; 2, of Cu25519 keys: signed by the user's Ed25519 key
)

// metKeys reads the keys of others. In a form that isn't known they count as never met, and the rest of the blob is as good.
func metKeys(met map[string]MetKey, value []byte) {
	if len(value)%metKeyRecord != 0 {
		return
	}
	for ; len(value) > 0; value = value[metKeyRecord:] {
		met[EncodeBase64(value[:8])] = MetKey{Credentials(value[8:28]), value[28] == metKeyCompared}
	}
}

// pendingInShares reads a list of names (node handles) with one length byte and values (user handle,
// encrypted key) with two, or with 0xffff and four more.
func (k *AccountKeys) pendingInShares(b []byte) error {
	bad := fmt.Errorf("%w: pending shares cut short", ErrAccountKeys)
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n+2 {
			return bad
		}
		handle := string(b[1 : 1+n])
		size := uint64(binary.BigEndian.Uint16(b[1+n:]))
		b = b[1+n+2:]
		if size == 0xffff {
			if len(b) < 4 {
				return bad
			}
			size, b = uint64(binary.BigEndian.Uint32(b)), b[4:]
		}
		if size < 8 || uint64(len(b)) < size {
			return bad
		}
		k.PendingInShares[handle] = PendingInShare{User: EncodeBase64(b[:8]), Key: bytes.Clone(b[8:size])}
		b = b[size:]
	}
	return nil
}
