package options

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSplit(t *testing.T) {
	for list, want := range map[string][]string{
		"":                               nil,
		",,":                             nil,
		"ro":                             {"ro"},
		"allow_other,uid=1000":           {"allow-other", "uid=1000"},
		`credentials="/a,b",x=1`:         {"credentials=/a,b", "x=1"},
		`credentials='/a b'`:             {"credentials=/a b"},
		`credentials=/a\040b\,c\134d,x`:  {`credentials=/a b,c\d`, "x"},
		"x-systemd.automount,_netdev":    {"x-systemd.automount", "-netdev"},
		"password-command=pass show a=b": {"password-command=pass show a=b"},
		`a\999`:                          {"a999"},
		`trailing\`:                      {`trailing\`},
	} {
		got, err := Split(list)
		require.NoError(t, err, list)
		var texts []string
		for _, w := range got {
			texts = append(texts, w.String())
		}
		require.Equal(t, want, texts, list)
	}
	_, err := Split(`a="b`)
	require.ErrorContains(t, err, "quote")
}

func TestUnescape(t *testing.T) {
	require.Equal(t, "/my folder\t\\x", Unescape(`/my\040folder\011\134x`))
	require.Equal(t, `C:\new`, Unescape(`C:\new`), "what is no octal escape stays")
}

func TestEveryWordOfMountIsKnown(t *testing.T) {
	words, err := Split("rw,_netdev,nofail,user,users,owner,group,defaults,noauto,auto,exec,x-systemd.automount," +
		"x-systemd.mount-timeout=10,X-mount.mkdir,x-gvfs-show,comment=mega,noatime,relatime,nodev,nosuid,default_permissions,async")
	require.NoError(t, err)
	for _, w := range words {
		require.Equal(t, Ignore, w.Meaning(), w.String())
	}
	for name, want := range map[string]Meaning{"suid": Warn, "dev": Warn, "noexec": Kernel, "sync": Kernel, "uid": Ours, "ro": Ours} {
		require.Equal(t, want, Word{Name: name}.Meaning(), name)
	}
	require.Equal(t, "read-only", Word{Name: "ro"}.Flag())
}

func TestNearest(t *testing.T) {
	known := []string{"allow-other", "read-only", "umask", "uid"}
	for name, want := range map[string]string{"alow-other": "allow-other", "readonly": "read-only", "umaks": "umask", "xyzzy": ""} {
		require.Equal(t, want, Nearest(name, known), name)
	}
}

// FuzzSplit: each word can be written so that it is read again.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{`ro,uid=you,x-a="b,c"`, `a=\040b,c_d='`, `=,\\,\1`, `"`} {
		f.Add(seed)
	}
	quote := strings.NewReplacer(`\`, `\\`, `,`, `\,`, `"`, `\"`, `'`, `\'`)
	f.Fuzz(func(t *testing.T, list string) {
		Unescape(list)
		words, err := Split(list)
		if err != nil || slices.Contains(words, Word{}) { // nothing but spaces
			return
		}
		var again []string
		for _, w := range words {
			w.Meaning()
			again = append(again, quote.Replace(w.String()))
		}
		same, err := Split(strings.Join(again, ","))
		require.NoError(t, err)
		require.Equal(t, words, same)
	})
}
