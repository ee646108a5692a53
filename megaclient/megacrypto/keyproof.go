package megacrypto

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Credentials are what people compare to know that a user's public key is the right one (MEGA's apps call them so): the
// first 20 bytes of its SHA-256.
type Credentials [20]byte

// CredentialsOf computes them.
func CredentialsOf(public []byte) Credentials {
	sum := sha256.Sum256(public)
	return Credentials(sum[:])
}

// String is the form in which MEGA's apps show them: 40 hexadecimal digits, here in groups of four.
func (f Credentials) String() string {
	digits := strings.ToUpper(hex.EncodeToString(f[:]))
	groups := make([]string, 0, len(digits)/4)
	for ; digits != ""; digits = digits[4:] {
		groups = append(groups, digits[:4])
	}
	return strings.Join(groups, " ")
}

// ErrCredentials says that a text isn't any.
var ErrCredentials = errors.New("a key's fingerprint has 40 hexadecimal digits")

// ParseCredentials reads them, however they are grouped.
func ParseCredentials(text string) (Credentials, error) {
	raw, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "", "-", "").Replace(text))
	if err != nil || len(raw) != len(Credentials{}) {
		return Credentials{}, ErrCredentials
	}
	return Credentials(raw), nil
}

// ErrKeySignature says that a public key isn't signed by whom it should be of.
var ErrKeySignature = errors.New("a public key is not signed by its owner")

const (
	keySignaturePrefix = "keyauth"
	keySignatureTime   = 8 // bytes before the signature: when it was made, big-endian Unix seconds
)

// VerifyKey checks that the owner of an Ed25519 key has signed another public key: the error is ErrKeySignature.
func VerifyKey(signer, key, signature []byte) error {
	if len(signer) != ed25519.PublicKeySize || len(signature) != keySignatureTime+ed25519.SignatureSize {
		return fmt.Errorf("%w: malformed", ErrKeySignature)
	}
	message := append(append([]byte(keySignaturePrefix), signature[:keySignatureTime]...), key...)
	if !ed25519.Verify(signer, message, signature[keySignatureTime:]) {
		return ErrKeySignature
	}
	return nil
}
