package megacrypto

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"strings"
	"unicode/utf16"
)

// PasswordKeyV1 derives the password key of an old (version 1) account the way MEGA's own clients
// do (PROTOCOL 2.2): the password is taken as UTF-16 units, each OR-ed into its place of a 32-bit
// word, so that units above 255 spill into the byte before. For ASCII it equals PasswordKeyV1UTF8.
func PasswordKeyV1(password string) Key {
	units := utf16.Encode([]rune(password))
	packed := make([]byte, len(units))
	for i, u := range units {
		packed[i] |= byte(u)
		if i%4 != 0 { // the bits above the word's top are lost
			packed[i-1] |= byte(u >> 8)
		}
	}
	return passwordKey(packed)
}

// PasswordKeyV1UTF8 derives the same from the password's UTF-8 bytes, as some other clients do; an
// account whose password isn't ASCII may have been made either way.
func PasswordKeyV1UTF8(password string) Key { return passwordKey([]byte(password)) }

func passwordKey(password []byte) Key {
	const rounds = 65536
	k := Key{0x93, 0xc4, 0x67, 0xe3, 0x7d, 0xb0, 0xc7, 0xa4, 0xd1, 0xbe, 0x3f, 0x81, 0x01, 0x52, 0xcb, 0x56}
	var pieces []func(dst, src []byte)
	for len(password) > 0 {
		var piece Key
		password = password[copy(piece[:], password):]
		pieces = append(pieces, piece.block().Encrypt)
	}
	if len(pieces) == 0 {
		return k
	}
	for range rounds {
		for _, encrypt := range pieces {
			encrypt(k[:], k[:])
		}
	}
	return k
}

// UserHashV1 gives the proof of the password that an old account sends at login, in base64. The
// e-mail is lower-cased first.
func UserHashV1(email string, k Key) string {
	const rounds = 16384
	var x Key
	for i, c := range []byte(strings.ToLower(email)) {
		x[i%16] ^= c
	}
	block := k.block()
	for range rounds {
		block.Encrypt(x[:], x[:])
	}
	return EncodeBase64(append(x[0:4:4], x[8:12]...))
}

// DeriveV2 derives, from password and salt of a current (version 2) account, the password key and
// the user hash, in base64, that proves the password at login (PROTOCOL 2.3). It takes tens of
// milliseconds by design.
func DeriveV2(password string, salt []byte) (Key, string) {
	const rounds = 100000
	d, err := pbkdf2.Key(sha512.New, password, salt, rounds, 32)
	if err != nil {
		// Only a FIPS-only build refuses, for a short salt; there is no MEGA account without it.
		panic(err)
	}
	return Key(d[:16]), EncodeBase64(d[16:])
}
