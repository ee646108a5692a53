package megacrypto

import (
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// This file reads and writes the little JSON that attributes need. encoding/json would turn bytes
// that aren't UTF-8 into U+FFFD, silently, and so make two names one; and it refuses control
// characters inside strings, which other clients write.

var errJSON = errors.New("malformed JSON")

// maxJSONDepth bounds the nesting of a value; no known attribute nests at all.
const maxJSONDepth = 64

// parseAttributes reads one JSON object and keeps its values as they are. Of a name that comes twice
// the last one counts, as in the parsers of other clients. What follows the object is ignored.
func parseAttributes(b []byte) (Attributes, error) {
	a := Attributes{}
	b = skipSpace(b)
	if len(b) == 0 || b[0] != '{' {
		return nil, errJSON
	}
	b = skipSpace(b[1:])
	if len(b) > 0 && b[0] == '}' {
		return a, nil
	}
	for {
		name, rest, err := readJSONString(b)
		if err != nil {
			return nil, err
		}
		rest = skipSpace(rest)
		if len(rest) == 0 || rest[0] != ':' {
			return nil, errJSON
		}
		start := skipSpace(rest[1:])
		rest, err = skipValue(start, 0)
		if err != nil {
			return nil, err
		}
		a[name] = append([]byte(nil), start[:len(start)-len(rest)]...)
		b = skipSpace(rest)
		if len(b) == 0 || b[0] != ',' && b[0] != '}' {
			return nil, errJSON
		}
		if b[0] == '}' {
			return a, nil
		}
		b = skipSpace(b[1:])
	}
}

func skipSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// skipValue gives what follows the value that b begins with.
func skipValue(b []byte, depth int) ([]byte, error) {
	if len(b) == 0 || depth > maxJSONDepth {
		return nil, errJSON
	}
	switch b[0] {
	case '"':
		return skipString(b)
	case '{', '[':
		return skipContainer(b, depth)
	}
	n := 0
	for n < len(b) && isScalarByte(b[n]) {
		n++
	}
	if n == 0 {
		return nil, errJSON
	}
	return b[n:], nil
}

// isScalarByte tells the bytes of numbers, true, false and null.
func isScalarByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == 'E' || c == '-' || c == '+' || c == '.'
}

func skipString(b []byte) ([]byte, error) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[i+1:], nil
		}
	}
	return nil, errJSON
}

func skipContainer(b []byte, depth int) ([]byte, error) {
	object, end := b[0] == '{', byte(']')
	if object {
		end = '}'
	}
	b = skipSpace(b[1:])
	if len(b) > 0 && b[0] == end {
		return b[1:], nil
	}
	for {
		var err error
		if object {
			if len(b) == 0 || b[0] != '"' {
				return nil, errJSON
			}
			if b, err = skipString(b); err != nil {
				return nil, err
			}
			if b = skipSpace(b); len(b) == 0 || b[0] != ':' {
				return nil, errJSON
			}
			b = skipSpace(b[1:])
		}
		if b, err = skipValue(b, depth+1); err != nil {
			return nil, err
		}
		if b = skipSpace(b); len(b) == 0 {
			return nil, errJSON
		}
		if b[0] == end {
			return b[1:], nil
		}
		if b[0] != ',' {
			return nil, errJSON
		}
		b = skipSpace(b[1:])
	}
}

// readJSONString decodes the string that b begins with and gives what follows it. Bytes stay as they
// are; a lone surrogate escape becomes the three bytes that UTF-8 would have for it, so that different
// strings stay different.
func readJSONString(b []byte) (s string, rest []byte, err error) {
	if len(b) == 0 || b[0] != '"' {
		return "", nil, errJSON
	}
	var out []byte
	for i := 1; i < len(b); {
		switch c := b[i]; c {
		case '"':
			return string(out), b[i+1:], nil
		case '\\':
			var n int
			if out, n = unescape(out, b[i:]); n == 0 {
				return "", nil, errJSON
			}
			i += n
		default:
			out = append(out, c)
			i++
		}
	}
	return "", nil, errJSON
}

// unescape appends what the escape at the beginning of b stands for, and gives its length in b; 0 if
// it is malformed.
func unescape(out, b []byte) ([]byte, int) {
	if len(b) < 2 {
		return out, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return append(out, b[1]), 2
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'n':
		return append(out, '\n'), 2
	case 'r':
		return append(out, '\r'), 2
	case 't':
		return append(out, '\t'), 2
	case 'u':
		return unescapeUnit(out, b)
	}
	return out, 0
}

func unescapeUnit(out, b []byte) ([]byte, int) {
	r, ok := hexUnit(b)
	if !ok {
		return out, 0
	}
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(out, r), 6
	}
	if low, ok := hexUnit(b[6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return utf8.AppendRune(out, pair), 12
		}
	}
	return append(out, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f), 6
}

func hexUnit(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(v), err == nil
}

// appendJSONString writes s as a JSON string: only quote, backslash and control characters are
// escaped, every other byte stands as it is.
func appendJSONString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\b':
			out = append(out, `\b`...)
		case c == '\f':
			out = append(out, `\f`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
