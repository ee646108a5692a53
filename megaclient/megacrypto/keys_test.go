package megacrypto_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

func TestFileKeyVectors(t *testing.T) {
	type vector struct {
		AES    string `json:"aes_hex"`
		Nonce  string `json:"nonce_hex"`
		MAC    string `json:"meta_mac_hex"`
		Packed string `json:"packed_hex"`
		Base64 string `json:"packed_b64"`
	}
	for _, v := range loadVectors[vector](t, "filekey") {
		want := fileKey(t, v.AES, v.Nonce)
		want.MAC = [8]byte(unhex(t, v.MAC))
		require.Equal(t, unhex(t, v.Packed), want.Pack())
		if v.Base64 != "" {
			require.Equal(t, v.Base64, mc.EncodeBase64(want.Pack()))
		}
		got, err := mc.UnpackFileKey(unhex(t, v.Packed))
		require.NoError(t, err)
		require.True(t, want == got)
	}
}

func TestShareAuthVectors(t *testing.T) {
	type vector struct {
		Key    string `json:"master_key_hex"`
		Handle string `json:"node_handle"`
		Auth   string `json:"ha_b64"`
	}
	for _, v := range loadVectors[vector](t, "share_auth") {
		require.Equal(t, v.Auth, mc.EncodeBase64(mc.ShareAuth(mc.Key(unhex(t, v.Key)), v.Handle)))
	}
	require.Nil(t, mc.ShareAuth(mc.Key{}, "short"))
}

func TestKeyLengths(t *testing.T) {
	for _, n := range []int{0, 1, 15, 17, 31, 33} {
		_, err := mc.EncryptKey(mc.Key{}, make([]byte, n))
		require.ErrorIs(t, err, mc.ErrKeyLength, n)
		_, err = mc.DecryptKey(mc.Key{}, make([]byte, n))
		require.ErrorIs(t, err, mc.ErrKeyLength, n)
		_, err = mc.UnpackFileKey(make([]byte, n))
		require.ErrorIs(t, err, mc.ErrKeyLength, n)
	}
}

func TestEncryptKeyRoundTrip(t *testing.T) {
	kek, k := mc.NewKey(), mc.NewFileKey().Pack()
	sealed, err := mc.EncryptKey(kek, k)
	require.NoError(t, err)
	require.NotEqual(t, k, sealed)
	got, err := mc.DecryptKey(kek, sealed)
	require.NoError(t, err)
	require.Equal(t, k, got)
}

func TestNewKeysDiffer(t *testing.T) {
	a, b := mc.NewFileKey(), mc.NewFileKey()
	require.False(t, a.Key == b.Key)
	require.False(t, a.Nonce == b.Nonce)
	require.Zero(t, a.MAC)
}

// A key in a log would open the account to whoever reads the log.
func TestSecretsDoNotPrint(t *testing.T) {
	rsa, err := mc.ParsePrivateKey(unhex(t, loadVectors[rsaVector](t, "rsa")[0].Private))
	require.NoError(t, err)
	file := mc.NewFileKey()
	secrets := []any{
		file.Key, &file.Key, file, &file, mc.NewCipher(file), rsa, *rsa, mc.AccountKeys{Cu25519Private: file.Key[:]},
		struct{ K mc.Key }{file.Key}, []mc.Key{file.Key},
	}
	for _, secret := range secrets {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
			text := fmt.Sprintf(verb, secret)
			require.Contains(t, text, "[secret]", "%s of %T", verb, secret)
			require.Less(t, len(text), 80, "%s of %T", verb, secret)
		}
	}
}

func TestKeyAsJSON(t *testing.T) {
	k := mc.NewKey()
	b, err := json.Marshal(map[string]mc.Key{"k": k})
	require.NoError(t, err)
	require.Contains(t, string(b), mc.EncodeBase64(k[:]))
	var got map[string]mc.Key
	require.NoError(t, json.Unmarshal(b, &got))
	require.True(t, k == got["k"])
	require.Error(t, json.Unmarshal([]byte(`{"k":"AAAA"}`), &got))
	require.Error(t, json.Unmarshal([]byte(`{"k":"AA*"}`), &got))
}

func TestDecodeBase64(t *testing.T) {
	for s, want := range map[string][]byte{
		"": {}, "AA": {0}, "AA==": {0}, "-_8": {0xfb, 0xff}, "+/8=": {0xfb, 0xff},
	} {
		got, err := mc.DecodeBase64(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"A", "A=A", "AA.", "A A", "AA\n", "AAA\r\nA", "ü", "=" + "A"} {
		_, err := mc.DecodeBase64(s)
		require.Error(t, err, s)
	}
}
