package megacrypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
)

// ErrKeyLength means that a key or an encrypted key has a length that it cannot have.
var ErrKeyLength = errors.New("key has the wrong length")

// redacted is what every secret of this package prints as.
const redacted = "[secret]"

// Key is an AES-128 key: a master, folder, share or password key. It never prints itself.
type Key [16]byte

// NewKey draws a random key.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails since Go 1.24
	return k
}

// String hides the key from logs; convert to []byte to get at it.
func (Key) String() string { return redacted }

// GoString hides the key from %#v.
func (Key) GoString() string { return redacted }

// Format hides the key from every verb, %x included.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText gives the key in base64, for stores that keep sessions as JSON; a log must never be
// given a key as a field.
func (k Key) MarshalText() ([]byte, error) { return []byte(EncodeBase64(k[:])), nil }

// UnmarshalText reads what MarshalText gives. The error is ErrKeyLength, or says that it isn't base64.
func (k *Key) UnmarshalText(text []byte) error {
	b, err := DecodeBase64(string(text))
	if err != nil {
		return fmt.Errorf("reading a key: %w", err)
	}
	if len(b) != len(k) {
		return fmt.Errorf("reading a key of %d bytes: %w", len(b), ErrKeyLength)
	}
	*k = Key(b)
	return nil
}

// block expands the key. Only a key of the wrong length can fail, and the type excludes it.
func (k Key) block() cipher.Block {
	b, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err)
	}
	return b
}

// FileKey is what encrypts and authenticates one content of a file (PROTOCOL 4.1): the AES key, the
// counter's nonce, and the meta-MAC, which is known only when the content is. Key and Nonce never
// meet two contents.
type FileKey struct {
	Key   Key     `cbor:"1,keyasint" json:"key"`
	Nonce [8]byte `cbor:"2,keyasint" json:"nonce"`
	MAC   [8]byte `cbor:"3,keyasint" json:"mac"`
}

// NewFileKey draws a random Key and Nonce; MAC is zero until the content is known.
func NewFileKey() FileKey {
	k := FileKey{Key: NewKey()}
	rand.Read(k.Nonce[:])
	return k
}

// String hides the key from logs; Pack gets at it.
func (FileKey) String() string { return redacted }

// GoString hides the key from %#v.
func (FileKey) GoString() string { return redacted }

// Format hides the key from every verb.
func (FileKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// UnpackFileKey reads the 32 bytes that a node key or a file link holds: (A xor (N‖M)) ‖ N ‖ M.
// The error is ErrKeyLength.
func UnpackFileKey(packed []byte) (FileKey, error) {
	var k FileKey
	if len(packed) != 32 {
		return k, fmt.Errorf("unpacking a file key of %d bytes: %w", len(packed), ErrKeyLength)
	}
	subtle.XORBytes(k.Key[:], packed[:16], packed[16:])
	copy(k.Nonce[:], packed[16:24])
	copy(k.MAC[:], packed[24:])
	return k, nil
}

// Pack gives the 32 bytes that UnpackFileKey reads.
func (k FileKey) Pack() []byte {
	packed := make([]byte, 32)
	copy(packed[16:24], k.Nonce[:])
	copy(packed[24:], k.MAC[:])
	subtle.XORBytes(packed[:16], k.Key[:], packed[16:])
	return packed
}

// EncryptKey encrypts a key (or any multiple of 16 bytes) with another in ECB mode (PROTOCOL 3.3):
// node keys under the master or a share key, the private key under the master key. The error is
// ErrKeyLength.
func EncryptKey(kek Key, k []byte) ([]byte, error) { return ecb(kek.block().Encrypt, k) }

// DecryptKey undoes EncryptKey. A wrong kek isn't noticed here: what comes out is then noise, which
// shows when the attributes don't decrypt.
func DecryptKey(kek Key, k []byte) ([]byte, error) { return ecb(kek.block().Decrypt, k) }

func ecb(crypt func(dst, src []byte), k []byte) ([]byte, error) {
	if len(k) == 0 || len(k)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("a key of %d bytes: %w", len(k), ErrKeyLength)
	}
	out := make([]byte, len(k))
	for i := 0; i < len(k); i += aes.BlockSize {
		crypt(out[i:i+aes.BlockSize], k[i:i+aes.BlockSize])
	}
	return out, nil
}

// ShareAuth gives the `ha` that authenticates a share key: the master key's encryption of the
// node's handle written twice (PROTOCOL 3.10). The handle must have its 8 characters; with any
// other length the answer is nil.
func ShareAuth(mk Key, handle string) []byte {
	if len(handle) != 8 {
		return nil
	}
	out := make([]byte, 16)
	mk.block().Encrypt(out, []byte(handle+handle))
	return out
}
