package megatest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
)

// FuzzBatch sends any bytes as a batch of commands of a logged-in user: the server answers, its state
// stays sound, and nothing panics. Words in capitals stand for handles that exist.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		`[{"a":"p","t":"ROOT","n":[{"h":"xxxxxxxx","t":1,"a":"AAAAAAAAAAAAAAAAAAAAAA","k":"AAAAAAAAAAAAAAAAAAAAAA"}]}]`,
		`[{"a":"p","t":"DIRR","n":[{"h":"FILE","t":0,"a":"AA","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","ov":"FILE"}],"vb":0}]`,
		`[{"a":"m","n":"FILE","t":"DIRR","cr":[["DIRR"],["FILE"],[0,0,"AA"]]},{"a":"d","n":["FILE","DIRR"],"v":1}]`,
		`[{"a":"s2","n":"DIRR","s":[{"u":"EXP","r":0},{"u":"x","r":""}],"ok":"AA","ha":"AA"},{"a":"l","n":"DIRR","w":1}]`,
		`[{"a":"u","s":9223372036854775807},{"a":"u","s":1,"t":["ROOT"]},{"a":"g","g":1,"n":"FILE"}]`,
		`[{"a":"k","nk":["FILE"]},{"a":"pk","u":"x"},{"a":"pfa","n":"FILE","fa":"0*x/y"},{"a":"upv","x":[]},{"a":"f"}]`,
		`[{"a":"us","sn":"x"},{"a":"us0"},{"a":"usr","s":["x"]},{"a":"uga","ua":"x"},{"a":"dv"},{"a":"sml"}]`,
		`{}`, `[`, `[1]`, `[{"a":1}]`, `[[]]`,
	} {
		f.Add(seed)
	}
	s := NewServer()
	f.Cleanup(s.Close)
	a := s.AddAccount("user@example.com", "password")
	f.Fuzz(func(t *testing.T, body string) {
		dir := a.Mkdir(a.Root(), "dir")
		key := megacrypto.NewFileKey()
		file := a.Put(PutSpec{Parent: dir, Name: "file", Content: []byte("x"), Key: &key})
		text := strings.NewReplacer("ROOT", a.Root(), "DIRR", dir, "FILE", file).Replace(body)
		reply, _ := s.execute(viewer{user: a.user}, s.url, []byte(text))
		require.NotEmpty(t, reply)
		require.NoError(t, s.CheckInvariants())
		a.s.mu.Lock()
		left := a.user.root.first
		a.s.mu.Unlock()
		if left != nil {
			_ = a.Do(map[string]any{"a": "d", "n": left.handle}, nil)
		}
	})
}

// FuzzSpan reads any range of a download URL: what is accepted lies within the file.
func FuzzSpan(f *testing.F) {
	f.Add("0-9", int64(10))
	f.Add("5-", int64(10))
	f.Add("", int64(0))
	f.Add("9223372036854775807-0", int64(1))
	f.Fuzz(func(t *testing.T, span string, size int64) {
		first, last, valid := parseSpan(span, size)
		if !valid || size < 0 {
			return
		}
		require.GreaterOrEqual(t, first, int64(0))
		require.Less(t, last, max(size, 1))
	})
}
