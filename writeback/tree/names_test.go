package tree

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestEscape(t *testing.T) {
	const q = quote
	for _, c := range []struct{ raw, shown string }{
		{"plain.txt", "plain.txt"},
		{"a/b", "a" + q + "2fb"},
		{"/", q + "2f"},
		{"a\x00b", "a" + q + "00b"},
		{"", q},
		{".", q + "."},
		{"..", q + ".."},
		{"...", "..."},
		{"a.", "a."},
		{"a" + q + "2fb", "a" + q + q + "2fb"},
		{q, q + q},
		{q + q, q + q + q},
		{q + ".", q + q + "."},
		{q + "/", q + q + q + "2f"},
		{q + "x", q + "x"},
		{q + "2F", q + "2F"},
		{"caf" + q + "e9", "caf\xe9"},
		{"caf" + q + q + "e9", "caf" + q + "e9"},
		{q + "...", q + "..."},
		{"naïve 日本 😀", "naïve 日本 😀"},
		{"../../etc/passwd", ".." + q + "2f.." + q + "2fetc" + q + "2fpasswd"},
	} {
		require.Equal(t, c.shown, Escape(c.raw), "%q", c.raw)
		require.Equal(t, c.raw, Unescape(c.shown), "%q", c.shown)
	}
}

func TestShown(t *testing.T) {
	long := strings.Repeat("ä", 5000) + ".jpeg"
	s := Shown(long)
	require.LessOrEqual(t, len(s), MaxName)
	require.True(t, utf8.ValidString(s))
	require.True(t, strings.HasSuffix(s, ".jpeg"))
	require.NotEqual(t, s, Shown("x"+long))
	require.NotEqual(t, s, Shown(strings.Repeat("ä", 5001)+".jpeg"))
	require.NoError(t, ValidName(s))
	exact := strings.Repeat("x", MaxName)
	require.Equal(t, exact, Shown(exact))
}

func TestWithSuffix(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"a.txt", "a (X).txt"},
		{"a", "a (X)"},
		{".bashrc", ".bashrc (X)"},
		{"a.tar.gz", "a.tar (X).gz"},
		{"Mr. Smith went home", "Mr. Smith went home (X)"},
		{"end.", "end. (X)"},
		{strings.Repeat("é", 127), strings.Repeat("é", 125) + " (X)"},
		{strings.Repeat("é", 125) + ".txt", strings.Repeat("é", 123) + " (X).txt"},
	} {
		require.Equal(t, c.want, withSuffix(c.name, " (X)"))
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", ".", "..", "a/b", quote, quote + "2f", quote + quote + "2f/", "\xff", quote + "e9", quote + "c3" + quote + "a9", "a\x00" + quote + "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shown := Escape(s)
		if len(shown) <= MaxName {
			require.NoError(t, ValidName(shown))
		}
		require.NoError(t, ValidName(Shown(s)))
		sent := Unescape(s)
		require.True(t, utf8.ValidString(sent))
		if s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\x00") {
			require.Equal(t, s, Escape(sent), "a name given here comes back as it was")
		}
		// Names that spell out bytes are the exception: they may spell what is UTF-8 when shown.
		if utf8.ValidString(s) && !escapesBytes(s) {
			require.Equal(t, s, Unescape(shown))
		}
	})
}

// escapesBytes says whether a name of the cloud holds an escaped byte that isn't UTF-8.
func escapesBytes(s string) bool {
	for i := range s {
		if b, ok := unhex(s[i:]); ok && b >= 0x80 && strings.HasSuffix(s[:i], quote) {
			return true
		}
	}
	return false
}
