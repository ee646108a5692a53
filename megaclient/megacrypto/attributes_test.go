package megacrypto_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	mc "megadisk/megaclient/megacrypto"
)

func attributeKey(t testing.TB, hexKey string) mc.Key {
	t.Helper()
	b := unhex(t, hexKey)
	if len(b) == 16 {
		return mc.Key(b)
	}
	k, err := mc.UnpackFileKey(b)
	require.NoError(t, err)
	return k.Key
}

// seal encrypts any text as an attribute block would be, as other clients might.
func seal(t testing.TB, k mc.Key, text string) string {
	t.Helper()
	plain := append([]byte(text), make([]byte, (16-len(text)%16)%16)...)
	block, err := aes.NewCipher(k[:])
	require.NoError(t, err)
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(plain, plain)
	return mc.EncodeBase64(plain)
}

func TestAttributeVectors(t *testing.T) {
	type vector struct {
		Key       string `json:"node_key_hex"`
		JSON      string `json:"json"`
		Encrypted string `json:"encrypted_b64"`
		NameOnly  string `json:"go_mega_name_only_encrypted_b64"`
		Decoded   map[string]string
	}
	inOrder := 0
	for _, v := range loadVectors[vector](t, "attributes") {
		k := attributeKey(t, v.Key)
		require.Equal(t, v.Encrypted, seal(t, k, "MEGA"+v.JSON))
		a, err := mc.DecryptAttributes(k, v.Encrypted)
		require.NoError(t, err)
		require.Len(t, a, len(v.Decoded))
		for name, want := range v.Decoded {
			got, ok := a.String(name)
			require.True(t, ok)
			require.Equal(t, want, got)
		}
		again, err := mc.EncryptAttributes(k, a)
		require.NoError(t, err)
		require.Len(t, again, len(v.Encrypted))
		if again == v.Encrypted { // the SDK sorts names as we do, megajs doesn't
			inOrder++
		}
		only := mc.Attributes{}
		only.SetString("n", v.Decoded["n"])
		sealed, err := mc.EncryptAttributes(k, only)
		require.NoError(t, err)
		require.Equal(t, v.NameOnly, sealed)
	}
	require.Equal(t, 4, inOrder)
}

func TestAttributesFromOtherClients(t *testing.T) {
	k := mc.NewKey()
	for text, want := range map[string]map[string]string{
		`MEGA{}`:                                    {},
		`MEGA{"n":"a"}trailing`:                     {"n": "a"},
		"MEGA{\"n\":\"a\"}\x00garbage":              {"n": "a"},
		`MEGA { "n" : "a" , "fav" : 1 }`:            {"n": "a", "fav": "1"},
		`MEGA{"fav":1,"lbl":-3.5e7,"n":"\u00e9\/"}`: {"fav": "1", "lbl": "-3.5e7", "n": "é/"},
		`MEGA{"n":"a","n":"b"}`:                     {"n": "b"},
		"MEGA{\"n\":\"tab\tand\nline\"}":            {"n": "tab\tand\nline"},
		"MEGA{\"n\":\"\xff\xfe\"}":                  {"n": "\xff\xfe"},
		`MEGA{"n":"\u0000\ud83d\ude00"}`:            {"n": "\x00😀"},
		`MEGA{"n":"\ud800x"}`:                       {"n": "\xed\xa0\x80x"},
		`MEGA{"o":{"a":[1,{"b":"]}"}]},"n":"a"}`:    {"n": "a"},
	} {
		a, err := mc.DecryptAttributes(k, seal(t, k, text))
		require.NoError(t, err, text)
		for name, value := range want {
			got, ok := a.String(name)
			require.True(t, ok, text)
			require.Equal(t, value, got, text)
		}
	}
}

func TestAttributesRefuse(t *testing.T) {
	k := mc.NewKey()
	for _, text := range []string{
		"", "MEGA", "MEGA[1]", `MEGX{"n":"a"}`, `MEGA{"n":"a"`, `MEGA{"n":}`, `MEGA{n:"a"}`, `MEGA{"n":"a",}`,
		`MEGA{"n":"a" "b":1}`, `MEGA{"n":"a\`, `MEGA{"n":[1,}}`, `MEGA{"n":{"a"}}`, `MEGA{"\x":1}`,
		`MEGA{"n":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
	} {
		_, err := mc.DecryptAttributes(k, seal(t, k, text))
		require.ErrorIs(t, err, mc.ErrAttributes, text)
	}
	for _, s := range []string{"", "AAAA", "****", mc.EncodeBase64(make([]byte, 17))} {
		_, err := mc.DecryptAttributes(k, s)
		require.ErrorIs(t, err, mc.ErrAttributes, s)
	}
	good := seal(t, k, `MEGA{"n":"a"}`)
	_, err := mc.DecryptAttributes(mc.NewKey(), good)
	require.ErrorIs(t, err, mc.ErrAttributes)
}

func TestAttributesThatAreNoStrings(t *testing.T) {
	a := mc.Attributes{"b": json.RawMessage("true"), "o": json.RawMessage("{}"), "x": json.RawMessage(`"\q"`), "e": nil}
	for _, name := range []string{"b", "o", "x", "e", "missing"} {
		_, ok := a.String(name)
		require.False(t, ok, name)
	}
}

func TestUnknownAttributesSurvive(t *testing.T) {
	k := mc.NewKey()
	const odd = `{ "deep":[1, 2.50,"\u0041` + "\xff" + `"] }`
	a, err := mc.DecryptAttributes(k, seal(t, k, `MEGA{"zz":`+odd+`,"n":"old"}`))
	require.NoError(t, err)
	changed := a.Clone()
	changed.SetString("n", "new")
	old, _ := a.String("n")
	require.Equal(t, "old", old)
	s, err := mc.EncryptAttributes(k, changed)
	require.NoError(t, err)
	again, err := mc.DecryptAttributes(k, s)
	require.NoError(t, err)
	require.Equal(t, odd, string(again["zz"]))
	require.Nil(t, mc.Attributes(nil).Clone())
}

func TestAttributesTooLarge(t *testing.T) {
	a := mc.Attributes{}
	a.SetString("n", strings.Repeat("x", mc.MaxAttributes-12-1))
	_, err := mc.EncryptAttributes(mc.Key{}, a)
	require.NoError(t, err)
	a.SetString("n", strings.Repeat("x", mc.MaxAttributes))
	_, err = mc.EncryptAttributes(mc.Key{}, a)
	require.ErrorIs(t, err, mc.ErrAttributes)
}

// Whatever bytes a name has, they come back.
func TestAttributeStringsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]string{}
		a := mc.Attributes{}
		for range rapid.IntRange(0, 4).Draw(t, "count") {
			name := string(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "name"))
			value := string(rapid.SliceOf(rapid.Byte()).Draw(t, "value"))
			want[name] = value
			a.SetString(name, value)
		}
		k := mc.NewKey()
		s, err := mc.EncryptAttributes(k, a)
		require.NoError(t, err)
		got, err := mc.DecryptAttributes(k, s)
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for name, value := range want {
			text, ok := got.String(name)
			require.True(t, ok)
			require.Equal(t, value, text)
		}
	})
}

// Where encoding/json agrees that a text is JSON, both read the same from it.
func FuzzAttributes(f *testing.F) {
	f.Add(`{"n":"a"}`)
	f.Add(`{"n":"\ud83d\ude00\"\\\/\b\f\n\r\t","fav":1,"x":[{"y":null}]}`)
	f.Add("{\"n\":\"\xff\"}")
	f.Fuzz(func(t *testing.T, text string) {
		k := mc.Key{1}
		a, err := mc.DecryptAttributes(k, seal(t, k, "MEGA"+text))
		var reference map[string]json.RawMessage
		valid := !strings.Contains(text, "\x00") && json.Unmarshal([]byte(text), &reference) == nil && reference != nil
		if valid && !strings.ContainsRune(text, '\ufffd') && strings.Count(text, "[")+strings.Count(text, "{") < 60 {
			require.NoError(t, err)
		}
		if err != nil {
			require.ErrorIs(t, err, mc.ErrAttributes)
			return
		}
		s, err := mc.EncryptAttributes(k, a)
		if err != nil {
			return
		}
		again, err := mc.DecryptAttributes(k, s)
		require.NoError(t, err)
		require.Equal(t, a, again)
		for name := range a {
			if value, ok := a.String(name); ok {
				again.SetString(name, value)
				got, ok := again.String(name)
				require.True(t, ok)
				require.Equal(t, value, got)
			}
		}
	})
}
