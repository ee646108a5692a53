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
	met     map[string]met // other users, by handle
}

// met is how the account's clients have met another user's keys.
type met struct {
	signing, exchange megacrypto.Credentials
	compared          bool
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
	a.curve = &curveKeys{private, sign, map[string]met{}}
	a.setUserAttr("+puCu255", private.PublicKey().Bytes())
	a.setUserAttr("+puEd255", sign.Public().(ed25519.PublicKey))
	a.setUserAttr("+sigCu255", a.curve.signature(a.user.created))
	a.writeAccountKeys()
}

// signature is how the Ed25519 key signs the Curve25519 key: a time, then the signature of both.
func (k *curveKeys) signature(when int64) []byte {
	ts := binary.BigEndian.AppendUint64(nil, uint64(when))
	return append(ts, ed25519.Sign(k.sign, append(append([]byte("keyauth"), ts...), k.private.PublicKey().Bytes()...))...)
}

// Credentials are what the account's person tells others by another way, for them to compare.
func (a *Account) Credentials() megacrypto.Credentials {
	return megacrypto.CredentialsOf(a.curve.sign.Public().(ed25519.PublicKey))
}

// Meet makes two accounts with ^!keys contacts of each other, and notes the other one's keys as MEGA's clients do when
// they first see them; with compared, as when the person has compared the credentials.
func (a *Account) Meet(other *Account, compared bool) {
	a.Befriend(other)
	exchange := megacrypto.CredentialsOf(other.curve.private.PublicKey().Bytes())
	a.curve.met[other.Handle] = met{other.Credentials(), exchange, compared}
	a.writeAccountKeys()
}

// RenewKeys gives the account new Ed25519 and Curve25519 keys, as when it was reset with a lost password.
func (a *Account) RenewKeys() { a.makeCurveKeys() }

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
	keysSigning    = 32
	keysExchange   = 33
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
	signing, exchange := a.curve.rings()
	record(keysSigning, signing)
	record(keysExchange, exchange)
	record(keysShares, a.shareKeyRecords())
	a.setUserAttr("^!keys", sealAccountKeys(a.master, plain))
}

// rings lists the keys of others: user handle, credentials, and how they were met (0 seen, 1 compared, 2 signed).
func (k *curveKeys) rings() (signing, exchange []byte) {
	for handle, m := range k.met {
		raw, _ := b64.DecodeString(handle)
		how := byte(0)
		if m.compared {
			how = 1
		}
		signing = append(append(append(signing, raw...), m.signing[:]...), how)
		exchange = append(append(append(exchange, raw...), m.exchange[:]...), 2)
	}
	return signing, exchange
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
