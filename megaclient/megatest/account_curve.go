package megatest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"

	"megadisk/megaclient/megacrypto"
)

// curveKeys are the keys of an account with ^!keys (PROTOCOL 3.10).
type curveKeys struct {
	private *ecdh.PrivateKey
	sign    ed25519.PrivateKey
}

// makeCurveKeys gives the account its Curve25519 keys and writes ^!keys.
func (a *Account) makeCurveKeys() {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic("megatest: making a Curve25519 key: " + err.Error())
	}
	_, sign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic("megatest: making an Ed25519 key: " + err.Error())
	}
	a.curve = &curveKeys{private, sign}
	a.setUserAttr("+puCu255", private.PublicKey().Bytes())
	a.setUserAttr("+puEd255", sign.Public().(ed25519.PublicKey))
	a.writeAccountKeys()
}

// setUserAttr sets an attribute of the user to bytes.
func (a *Account) setUserAttr(name string, value []byte) {
	a.must(map[string]any{"a": "up2", name: b64.EncodeToString(value)}, nil)
}

// SetUserAttr sets an attribute of the user to text: "^!dv" to "1" switches versions off.
func (a *Account) SetUserAttr(name, value string) {
	a.must(map[string]any{"a": "up2", name: value}, nil)
}

// Tags of the records of ^!keys that are written.
const (
	keysVersion    = 1
	keysCreated    = 2
	keysIdentity   = 3
	keysGeneration = 4
	keysEd25519    = 16
	keysCu25519    = 17
	keysRSA        = 18
	keysShares     = 48
)

// writeAccountKeys writes ^!keys with the share keys of now.
func (a *Account) writeAccountKeys() {
	identity, _ := b64.DecodeString(a.Handle)
	var plain []byte
	record := func(tag byte, value []byte) {
		plain = append(plain, tag, byte(len(value)>>16), byte(len(value)>>8), byte(len(value)))
		plain = append(plain, value...)
	}
	record(keysVersion, []byte{1})
	record(keysCreated, binary.BigEndian.AppendUint32(nil, uint32(a.user.created)))
	record(keysIdentity, identity)
	record(keysGeneration, binary.BigEndian.AppendUint32(nil, 1))
	record(keysEd25519, a.curve.sign.Seed())
	record(keysCu25519, a.curve.private.Bytes())
	record(keysRSA, a.rsa.Marshal())
	record(keysShares, a.shareKeyRecords())
	a.setUserAttr("^!keys", sealAccountKeys(a.master, plain))
}

// shareKeyRecords lists the account's share keys: handle, key, flags (1 trusted, 2 in use).
func (a *Account) shareKeyRecords() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	handles := make([]string, 0, len(a.shareKeys))
	for h := range a.shareKeys {
		handles = append(handles, h)
	}
	sort.Strings(handles)
	var b []byte
	for _, h := range handles {
		raw, _ := b64.DecodeString(h)
		key := a.shareKeys[h]
		b = append(append(append(b, raw...), key[:]...), 3)
	}
	return b
}

// sealAccountKeys encrypts ^!keys: AES-GCM under a key derived from the master key.
func sealAccountKeys(master megacrypto.Key, plain []byte) []byte {
	key, err := hkdf.Key(sha256.New, master[:], nil, "\x01", 16)
	if err != nil {
		panic("megatest: deriving a key: " + err.Error())
	}
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCM(block)
	iv := randomBytes(gcm.NonceSize())
	return gcm.Seal(append([]byte{0x14, 0}, iv...), iv, plain, nil)
}

// pairKey is the key between this account and another one: Curve25519, then HKDF-SHA256.
func (a *Account) pairKey(public []byte) (megacrypto.Key, error) {
	theirs, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return megacrypto.Key{}, fmt.Errorf("megatest: reading a Curve25519 key: %w", err)
	}
	secret, err := a.curve.private.ECDH(theirs)
	if err != nil {
		return megacrypto.Key{}, fmt.Errorf("megatest: agreeing on a key: %w", err)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "strongvelope pairwise key", 16)
	if err != nil {
		return megacrypto.Key{}, fmt.Errorf("megatest: deriving a key: %w", err)
	}
	return megacrypto.Key(key), nil
}
