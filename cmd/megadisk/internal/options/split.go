// Package options reads lists of mount options as they stand in fstab and after -o, knows the words that mount(8) and
// systemd add to them, and finds the nearest known name to one that is misspelt.
package options

import (
	"fmt"
	"strings"
)

// Word is one option: NAME or NAME=VALUE.
type Word struct {
	Name     string // with - for _
	Value    string
	HasValue bool
}

// String is the word as people write it.
func (w Word) String() string {
	if w.HasValue {
		return w.Name + "=" + w.Value
	}
	return w.Name
}

// Split takes a comma-separated list apart. A comma belongs to a value that is in quotes, or where a backslash stands
// before it; octal escapes (\040 for a space) are read as in fstab.
func Split(list string) ([]Word, error) {
	var words []Word
	var text strings.Builder
	quote := byte(0)
	end := func() {
		if text.Len() > 0 {
			words = append(words, word(text.String()))
		}
		text.Reset()
	}
	for i := 0; i < len(list); i++ {
		switch ch := list[i]; {
		case ch == '\\' && i+1 < len(list):
			value, n := escape(list[i+1:])
			text.WriteByte(value)
			i += n
		case quote != 0 && ch == quote:
			quote = 0
		case quote == 0 && (ch == '"' || ch == '\''):
			quote = ch
		case quote == 0 && ch == ',':
			end()
		default:
			text.WriteByte(ch)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote (%c) isn't closed", quote)
	}
	end()
	return words, nil
}

func word(text string) Word {
	name, value, has := strings.Cut(text, "=")
	return Word{Name: strings.ReplaceAll(strings.TrimSpace(name), "_", "-"), Value: value, HasValue: has}
}

// escape reads what follows a backslash: three octal digits, or the character that it protects.
func escape(rest string) (value byte, length int) {
	if len(rest) >= 3 && strings.Trim(rest[:3], "01234567") == "" && rest[0] <= '3' {
		return (rest[0]-'0')<<6 | (rest[1]-'0')<<3 | (rest[2] - '0'), 3
	}
	return rest[0], 1
}

// Unescape undoes fstab's octal escapes in a path.
func Unescape(path string) string {
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+1 < len(path) {
			if value, n := escape(path[i+1:]); n == 3 {
				out.WriteByte(value)
				i += n
				continue
			}
		}
		out.WriteByte(path[i])
	}
	return out.String()
}
