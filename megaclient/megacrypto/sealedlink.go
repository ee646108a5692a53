package megacrypto

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
)

// A link with a password (https://mega.nz/#P!…) holds another link, sealed; no server knows of it. Its bytes:
//
//	algorithm  1   2; 1 is the same with key and data of the HMAC swapped, as the web client once made it
//	kind       1   0 a folder's, 1 a file's
//	handle     6
//	salt       32
//	key        16 or 32, of the link, XOR the first bytes derived from the password
//	tag        32  HMAC-SHA256 of all before, with the last 32 bytes derived
//
// Derived are 64 bytes, by PBKDF2-HMAC-SHA512 with 100,000 rounds.
const (
	sealedMark   = "#P!"
	sealedRounds = 100_000
	saltSize     = 32
	headSize     = 1 + 1 + 6 + saltSize
	tagSize      = sha256.Size
)

// ErrLinkPassword means that a link doesn't open with a password.
var ErrLinkPassword = errors.New("the link's password is wrong")

// IsSealedLink tells whether a text is a link with a password.
func IsSealedLink(s string) bool {
	path, ok := cutHost(strings.TrimSpace(s))
	return ok && strings.HasPrefix(path, sealedMark)
}

// SealLink makes the link that opens with a password what l opens. A place below a folder can't be part of it.
func SealLink(l Link, password string) (string, error) {
	handle, err := DecodeBase64(l.Handle)
	if err != nil || len(handle) != 6 || len(l.Key) != l.Kind.keySize() || l.Sub != "" {
		return "", ErrLink
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	derived, err := sealingKeys(password, salt)
	if err != nil {
		return "", err
	}
	sealed := []byte{2, 0}
	if l.Kind == FileLink {
		sealed[1] = 1
	}
	sealed = append(append(sealed, handle...), salt...)
	sealed = append(sealed, xorKey(l.Key, derived)...)
	sealed = append(sealed, tagOf(derived[tagSize:], sealed)...)
	return "https://mega.nz/" + sealedMark + EncodeBase64(sealed), nil
}

// UnsealLink gives the link that one with a password holds: ErrLinkPassword if it is another's, ErrLinkKey if the link is
// cut off.
func UnsealLink(s, password string) (Link, error) {
	path, ok := cutHost(strings.TrimSpace(s))
	text, sealed := strings.CutPrefix(path, sealedMark)
	if !ok || !sealed {
		return Link{}, ErrLink
	}
	raw, err := DecodeBase64(text)
	if err != nil || len(raw) < 2 {
		return Link{}, ErrLinkKey
	}
	if raw[0] != 1 && raw[0] != 2 || raw[1] > 1 {
		return Link{}, fmt.Errorf("%w: it is sealed in a way that isn't known", ErrLink)
	}
	l := Link{Kind: FileLink}
	if raw[1] == 0 {
		l.Kind = FolderLink
	}
	end := headSize + l.Kind.keySize()
	if len(raw) != end+tagSize {
		return Link{}, ErrLinkKey
	}
	derived, err := sealingKeys(password, raw[headSize-saltSize:headSize])
	if err != nil {
		return Link{}, err
	}
	want := tagOf(derived[tagSize:], raw[:end])
	if raw[0] == 1 {
		want = tagOf(raw[:end], derived[tagSize:])
	}
	if !hmac.Equal(want, raw[end:]) {
		return Link{}, ErrLinkPassword
	}
	l.Handle = EncodeBase64(raw[2:8])
	l.Key = xorKey(raw[headSize:end], derived)
	return l, nil
}

func sealingKeys(password string, salt []byte) ([]byte, error) {
	derived, err := pbkdf2.Key(sha512.New, password, salt, sealedRounds, 2*tagSize)
	if err != nil {
		return nil, fmt.Errorf("deriving the keys of a link: %w", err)
	}
	return derived, nil
}

func xorKey(key, derived []byte) []byte {
	out := make([]byte, len(key))
	subtle.XORBytes(out, key, derived[:len(key)])
	return out
}

func tagOf(key, data []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	return mac.Sum(nil)
}
