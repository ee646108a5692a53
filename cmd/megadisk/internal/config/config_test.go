package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var known = []string{"allow-other", "umask", "timeout", "max-connections"}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(path, []byte("# mine\nallow_other = true\n\numask = \"027\"\nmax-connections = 8\n"), 0o644))
	got, err := Read(path, true, known)
	require.NoError(t, err)
	require.Equal(t, map[string]Value{"allow-other": {"true", 2}, "umask": {"027", 4}, "max-connections": {"8", 5}}, got)

	got, err = Read(path+".none", false, known)
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = Read(path+".none", true, known)
	require.EqualError(t, err, path+".none: no such file or directory")
}

func TestMistakesAreNamedWithTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"umask = \"022\"\nalow-other = true\n":      `c:2: there is no option "alow-other" (did you mean allow-other?)`,
		"xyzzy = 1\n":                               "c:1: there is no option \"xyzzy\": `megadisk config show` lists them",
		"\numask = [1]\n":                           "c:2: umask has one value",
		"\n\n[mount]\numask = \"1\"\n":              `c:3: there is no option "mount"`,
		"umask = 022\n":                             "c:1:",
		"umask = \"0\"\numask = \"1\"\n":            "c:2:",
		"allow-other = true\nallow_other = false\n": "stands there twice",
		"timeout = \n":                              "c:1:",
		"= 3\n":                                     "c:1:",
	} {
		_, err := parse("c", []byte(text), known)
		var at *Error
		require.ErrorAs(t, err, &at, text)
		require.Contains(t, err.Error(), want, text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("umask = \"022\"\n[a.b]\nc = 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := parse("c", text, known)
		require.True(t, err == nil || values == nil)
	})
}
