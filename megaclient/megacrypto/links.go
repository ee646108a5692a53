package megacrypto

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of ParseLink.
var (
	ErrLink    = errors.New("not a MEGA file or folder link")
	ErrLinkKey = errors.New("the link's key is missing or incomplete")
)

// LinkKind tells what a public link opens.
type LinkKind int

// The kinds of links.
const (
	FileLink LinkKind = iota
	FolderLink
)

// String names the kind as it stands in a link.
func (k LinkKind) String() string {
	if k == FolderLink {
		return "folder"
	}
	return "file"
}

// keySize is the length of the key in a link.
func (k LinkKind) keySize() int {
	if k == FolderLink {
		return 16
	}
	return 32
}

// Link is a public link (PROTOCOL 2.9). Its key opens what it points to: String gives it away, so
// keep links out of logs.
type Link struct {
	Kind   LinkKind
	Handle string // the public handle, 8 characters
	Key    []byte // 32 bytes, a packed file key; or 16, a folder's share key
	Sub    string // the handle of a node below a folder link, or ""
}

// ParseLink reads both forms of links, new (https://mega.nz/file/HANDLE#KEY) and old
// (https://mega.nz/#!HANDLE!KEY), with or without the scheme, of mega.nz, mega.co.nz and mega.app.
// What follows the handle up to the key (tracking parameters) is skipped. The error is ErrLinkKey when
// only the key is missing or cut, else ErrLink.
func ParseLink(s string) (Link, error) {
	path, ok := cutHost(strings.TrimSpace(s))
	if !ok {
		return Link{}, ErrLink
	}
	var l Link
	for _, form := range linkForms {
		rest, ok := strings.CutPrefix(path, form.prefix)
		if !ok {
			continue
		}
		l.Kind = form.kind
		if len(rest) < 8 || !isHandle(rest[:8]) || len(rest) > 8 && isBase64(rest[8]) {
			return Link{}, fmt.Errorf("%w: its handle is malformed", ErrLink)
		}
		l.Handle = rest[:8]
		_, key, _ := strings.Cut(rest[8:], form.separator)
		return l.parseKey(key)
	}
	return Link{}, ErrLink
}

var linkForms = []struct {
	prefix, separator string
	kind              LinkKind
}{
	{"file/", "#", FileLink},
	{"folder/", "#", FolderLink},
	{"#!", "!", FileLink},
	{"#F!", "!", FolderLink},
}

// cutHost removes scheme and host, and language codes that stand before the path.
func cutHost(s string) (path string, ok bool) {
	if scheme, rest, found := strings.Cut(s, "://"); found {
		if !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
			return "", false
		}
		s = rest
	}
	host, path, found := strings.Cut(s, "/")
	if !found {
		if host, path, found = strings.Cut(s, "#"); !found {
			return "", false
		}
		path = "#" + path
	}
	host = strings.ToLower(host)
	for _, known := range []string{"mega.nz", "mega.co.nz", "mega.app"} {
		if host == known || strings.HasSuffix(host, "."+known) {
			return path, true
		}
	}
	return "", false
}

// parseKey reads the key and, for a folder, what comes after it: `/file/H`, `/folder/H`, `!H`, `?H`.
func (l Link) parseKey(s string) (Link, error) {
	n := 0
	for n < len(s) && isBase64(s[n]) {
		n++
	}
	key, err := DecodeBase64(s[:n])
	if err != nil || len(key) != l.Kind.keySize() {
		return Link{}, ErrLinkKey
	}
	l.Key = key
	if rest := s[n:]; l.Kind == FolderLink && rest != "" {
		for _, prefix := range []string{"/file/", "/folder/", "!", "?"} {
			if sub, ok := strings.CutPrefix(rest, prefix); ok {
				if len(sub) < 8 || !isHandle(sub[:8]) || len(sub) > 8 && isBase64(sub[8]) {
					return Link{}, fmt.Errorf("%w: its inner handle is malformed", ErrLink)
				}
				l.Sub = sub[:8]
			}
		}
	}
	return l, nil
}

func isHandle(s string) bool {
	for i := range len(s) {
		if !isBase64(s[i]) {
			return false
		}
	}
	return true
}

func isBase64(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// String gives the link in the new form. A Sub is written as a file; readers take either word.
func (l Link) String() string {
	s := "https://mega.nz/" + l.Kind.String() + "/" + l.Handle
	if len(l.Key) > 0 {
		s += "#" + EncodeBase64(l.Key)
	}
	if l.Sub != "" {
		s += "/file/" + l.Sub
	}
	return s
}
