package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// A name in the cloud is any string at all; a name here is 1 to 255 bytes without '/' and NUL, and
// neither "." nor "..". Escape and Unescape translate, both ways without loss. The quote is a sign
// that hardly anybody uses, ‛ (U+201B), written Q here:
//
//	in the cloud       shown here          in the cloud       shown here
//	a/b                aQ2fb               (empty)            Q
//	NUL                Q00                 .                  Q.
//	aQ2fb              aQQ2fb              ..                 Q..
//	aQe9b              byte e9 between     Q   Q.   Q..       QQ   QQ.   QQ..
//	aQQe9b             aQe9b
//
// So what can't stand here is Qxx with two small hex digits, and what can't stand in JSON (a byte
// that isn't UTF-8) is Qxx over there; quotes that would be misread are doubled; all else, a lonely
// quote too, is itself.

// MaxName is the longest name that is shown or may be given, in bytes (NAME_MAX).
const MaxName = 255

const quote = "‛"

const hexDigits = "0123456789abcdef"

// unhex reads two small hex digits at the beginning of s.
func unhex(s string) (b byte, ok bool) {
	if len(s) < 2 {
		return 0, false
	}
	hi, lo := strings.IndexByte(hexDigits, s[0]), strings.IndexByte(hexDigits, s[1])
	if hi < 0 || lo < 0 {
		return 0, false
	}
	return byte(hi<<4 | lo), true
}

// side says which byte values one side writes as Qxx.
type side func(b byte) bool

func isUnshowable(b byte) bool { return b == '/' || b == 0 } // escaped here
func isUnsendable(b byte) bool { return b >= utf8.RuneSelf } // escaped in the cloud, where not UTF-8

// Escape makes the name that is shown for a name of the cloud. It is a valid name here except that
// it may be too long: see Shown.
func Escape(raw string) string {
	if body, dots := wholeDots(raw); body == strings.Repeat(quote, len(body)/len(quote)) {
		return body + quote + dots // "", ".", "..", and what those become
	}
	if !strings.Contains(raw, quote) && !strings.ContainsAny(raw, "/\x00") {
		return raw
	}
	return translate(raw, isUnsendable, isUnshowable)
}

// Unescape makes the name of the cloud for one that is shown: the inverse of Escape. The result is
// always valid UTF-8.
func Unescape(shown string) string {
	if body, dots := wholeDots(shown); body != "" && body == strings.Repeat(quote, len(body)/len(quote)) {
		return body[len(quote):] + dots
	}
	if !strings.Contains(shown, quote) && utf8.ValidString(shown) {
		return shown
	}
	return translate(shown, isUnshowable, isUnsendable)
}

// ToCloud gives the name to send for a name given here.
func ToCloud(name string) string { return Unescape(name) }

// wholeDots splits a "." or ".." off the end if that could be all there is besides quotes.
func wholeDots(s string) (body, dots string) {
	body = strings.TrimRight(s, ".")
	if len(s)-len(body) > 2 {
		return s, ""
	}
	return body, s[len(body):]
}

// translate rewrites s, in which the bytes of from are written Qxx, so that those of to are.
func translate(s string, from, to side) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		run := 0
		for strings.HasPrefix(s[i+run*len(quote):], quote) {
			run++
		}
		i += run * len(quote)
		b, coded := unhex(s[i:])
		switch {
		case coded && from(b):
			out.WriteString(strings.Repeat(quote, run/2))
			if run%2 == 1 {
				out.WriteByte(b)
			} else {
				out.WriteString(s[i : i+2])
			}
			i += 2
		case coded && to(b) && run > 0:
			out.WriteString(strings.Repeat(quote, 2*run))
			out.WriteString(s[i : i+2])
			i += 2
		case i < len(s):
			i += plain(&out, s[i:], run, to)
		default:
			out.WriteString(strings.Repeat(quote, run))
		}
	}
	return out.String()
}

// plain writes run quotes and the rune or byte after them; it returns the bytes read.
func plain(out *strings.Builder, s string, run int, to side) int {
	r, n := utf8.DecodeRuneInString(s)
	b := s[0]
	special := to(b) && (b < utf8.RuneSelf || r == utf8.RuneError && n == 1)
	if !special {
		out.WriteString(strings.Repeat(quote, run))
		out.WriteString(s[:n])
		return n
	}
	out.WriteString(strings.Repeat(quote, 2*run+1))
	out.WriteByte(hexDigits[b>>4])
	out.WriteByte(hexDigits[b&15])
	return 1
}

// Shown gives the name under which a node of the cloud wants to be shown: escaped, and if that is
// longer than MaxName, shortened to `BEGIN~XXXXXXXX.EXT` with eight hex digits of the raw name's hash.
func Shown(raw string) string {
	s := Escape(raw)
	if len(s) <= MaxName {
		return s
	}
	sum := sha256.Sum256([]byte(raw))
	return withSuffix(s, "~"+hex.EncodeToString(sum[:4]))
}

// withSuffix puts suffix between the name and its extension, cutting what is too long, the name
// first, on the border of a character.
func withSuffix(name, suffix string) string {
	stem, ext := splitExt(name)
	return cut(stem, MaxName-len(suffix)-len(ext)) + suffix + ext
}

// splitExt splits an extension off: at most 32 bytes, not the whole of a dotfile's name.
func splitExt(name string) (stem, ext string) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || len(name)-i > 32 || len(name)-i < 2 || strings.Contains(name[i:], " ") {
		return name, ""
	}
	return name[:i], name[i:]
}

// cut gives the longest beginning of s of at most n bytes that ends between two characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// ValidName says whether a program may give this name: ErrInvalid or ErrNameTooLong if not.
func ValidName(name string) error {
	switch {
	case len(name) > MaxName:
		return ErrNameTooLong
	case name == "", name == ".", name == "..", strings.ContainsAny(name, "/\x00"):
		return ErrInvalid
	}
	return nil
}
