package megacrypto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ErrAttributes means that an attribute block doesn't decrypt with the given key, or is malformed.
var ErrAttributes = errors.New("node attributes do not decrypt")

// MaxAttributes is the largest encrypted attribute block, in bytes, that the server takes.
const MaxAttributes = 64 << 10

const attributeMagic = "MEGA"

// Attributes are the decrypted attributes of a node (PROTOCOL 3.4): "n" the name, "c" the
// fingerprint, others by whoever wrote them. Values are kept as the JSON they came as, byte for byte,
// so that what this program doesn't know survives a change. A raw value may hold bytes that
// encoding/json refuses or changes; String and SetString don't.
type Attributes map[string]json.RawMessage

// String gives an attribute that is a JSON string, or a number as its digits; ok is false for
// anything else. Bytes that aren't UTF-8 come out as they are.
func (a Attributes) String(name string) (value string, ok bool) {
	raw := bytes.TrimSpace(a[name])
	if len(raw) == 0 {
		return "", false
	}
	if raw[0] == '"' {
		s, rest, err := readJSONString(raw)
		return s, err == nil && len(rest) == 0
	}
	if raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' {
		return string(raw), true
	}
	return "", false
}

// SetString sets an attribute to a JSON string, whose bytes String gives back exactly.
func (a Attributes) SetString(name, value string) { a[name] = appendJSONString(nil, value) }

// Clone gives a copy that can be changed without changing a.
func (a Attributes) Clone() Attributes {
	if a == nil {
		return nil
	}
	out := make(Attributes, len(a))
	for name, raw := range a {
		out[name] = bytes.Clone(raw)
	}
	return out
}

// EncryptAttributes gives the `a` of a node in base64: "MEGA" and the JSON object, its names sorted,
// under k. The error is ErrAttributes for a block above MaxAttributes.
func EncryptAttributes(k Key, a Attributes) (string, error) {
	plain := []byte(attributeMagic + "{")
	for i, name := range slices.Sorted(maps.Keys(a)) {
		if i > 0 {
			plain = append(plain, ',')
		}
		plain = append(appendJSONString(plain, name), ':')
		plain = append(plain, a[name]...)
	}
	return encryptAttributeBlock(k, append(plain, '}'))
}

func encryptAttributeBlock(k Key, plain []byte) (string, error) {
	plain = append(plain, make([]byte, (16-len(plain)%16)%16)...)
	if len(plain) > MaxAttributes {
		return "", fmt.Errorf("encrypting %d bytes of attributes: too large: %w", len(plain), ErrAttributes)
	}
	var iv [aes.BlockSize]byte
	cipher.NewCBCEncrypter(k.block(), iv[:]).CryptBlocks(plain, plain)
	return EncodeBase64(plain), nil
}

// DecryptAttributes reads the `a` of a node; k is the folder's key or the file's unpacked one. The
// error is ErrAttributes, which is how a wrong key shows.
func DecryptAttributes(k Key, s string) (Attributes, error) {
	block, err := DecodeBase64(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAttributes, err)
	}
	if len(block) == 0 || len(block)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: a block of %d bytes", ErrAttributes, len(block))
	}
	var iv [aes.BlockSize]byte
	cipher.NewCBCDecrypter(k.block(), iv[:]).CryptBlocks(block, block)
	if end := bytes.IndexByte(block, 0); end >= 0 {
		block = block[:end]
	}
	text, ok := bytes.CutPrefix(block, []byte(attributeMagic))
	if !ok {
		return nil, fmt.Errorf("%w: not this key", ErrAttributes)
	}
	a, err := parseAttributes(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAttributes, err)
	}
	return a, nil
}
