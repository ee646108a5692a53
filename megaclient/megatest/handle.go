package megatest

import (
	"crypto/rand"
	"encoding/base64"
)

// Lengths of identifiers in bytes (PROTOCOL 0).
const (
	nodeHandleBytes = 6
	userHandleBytes = 8
	sidBytes        = 43
	tokenBytes      = 36
	textTokenBytes  = 20 // 27 characters: the printable form of an upload token
	snBytes         = 8
	faHandleBytes   = 8
)

// b64 is the wire alphabet: URL-safe, never padded.
var b64 = base64.RawURLEncoding

// randomID draws n random bytes, the first of which is not zero, and returns them encoded.
func randomID(n int) string {
	return b64.EncodeToString(randomBytes(n))
}

// randomBytes draws n random bytes, the first of which is not zero: RSA clients that strip leading
// zeros would otherwise lose a byte of a session id (PROTOCOL 2.5).
func randomBytes(n int) []byte {
	b := make([]byte, n)
	for b[0] == 0 {
		if _, err := rand.Read(b); err != nil {
			panic("megatest: no randomness: " + err.Error())
		}
	}
	return b
}

// validHandle tells whether s is a well-formed node handle or public handle.
func validHandle(s string) bool {
	b, err := b64.DecodeString(s)
	return err == nil && len(b) == nodeHandleBytes
}
