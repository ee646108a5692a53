package megacrypto_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

type keysVector struct {
	MasterKey string `json:"master_key"`
	Attribute string
	HKDF      string `json:"hkdf_key"`
	Plaintext string
	Records   []struct{ Tag, Length int }
	ShareKeys []struct {
		Handle string
		Key    string `json:"share_key"`
		Flags  int
	} `json:"share_keys"`
}

func TestAccountKeysVectors(t *testing.T) {
	for _, v := range loadVectors[keysVector](t, "keys_attribute") {
		k, err := mc.ParseAccountKeys(mc.Key(unbase64(t, v.MasterKey)), unbase64(t, v.Attribute))
		require.NoError(t, err)
		require.Len(t, k.ShareKeys, len(v.ShareKeys))
		for _, want := range v.ShareKeys {
			got := k.ShareKeys[want.Handle]
			require.Equal(t, unbase64(t, want.Key), got[:])
			require.Equal(t, want.Flags&1 != 0, k.TrustedShares[want.Handle])
		}
		for _, r := range v.Records {
			switch r.Tag {
			case 16:
				require.Len(t, k.Ed25519Private, r.Length)
			case 17:
				require.Len(t, k.Cu25519Private, r.Length)
			case 18:
				require.Len(t, k.RSAPrivate, r.Length)
			}
		}
		require.EqualValues(t, 1, k.Version)
		require.Len(t, k.Identity, 11)
		require.NotZero(t, k.Created)
		require.NotZero(t, k.Generation)
		require.Empty(t, k.PendingInShares)
		_, err = mc.ParseAccountKeys(mc.NewKey(), unbase64(t, v.Attribute))
		require.ErrorIs(t, err, mc.ErrAccountKeys)
	}
}

// sealAccountKeys makes an attribute of any plaintext, so that tests and fuzzing reach what lies
// behind the encryption.
func sealAccountKeys(t testing.TB, mk mc.Key, plain []byte) []byte {
	t.Helper()
	key, err := hkdf.Key(sha256.New, mk[:], nil, "\x01", 16)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	nonce := make([]byte, 12)
	return gcm.Seal(append([]byte{0x14, 0}, nonce...), nonce, plain, nil)
}

func TestAccountKeysPendingInShares(t *testing.T) {
	value := append([]byte("\x08aBcDeFgH\x00\x0aUSERUSERkk"), "\x08zYxWvUtS\xff\xff\x00\x00\x00\x08RESUUSER"...)
	plain := append([]byte{65, 0, 0, byte(len(value))}, value...)
	plain = append(plain, 200, 0, 0, 3, 1, 2, 3) // a record that nobody knows
	k, err := mc.ParseAccountKeys(mc.Key{}, sealAccountKeys(t, mc.Key{}, plain))
	require.NoError(t, err)
	require.Equal(t, map[string]mc.PendingInShare{
		"aBcDeFgH": {User: mc.EncodeBase64([]byte("USERUSER")), Key: []byte("kk")},
		"zYxWvUtS": {User: mc.EncodeBase64([]byte("RESUUSER")), Key: []byte{}},
	}, k.PendingInShares)
}

// Keys of others that the account has met are read, those in a form that isn't known are none, and the rest is as good.
func TestAccountKeysMet(t *testing.T) {
	one := append([]byte("USERUSERfingerprint of 20 by"), 1)
	for _, test := range []struct {
		value []byte
		want  map[string]mc.MetKey
	}{
		{one, map[string]mc.MetKey{mc.EncodeBase64([]byte("USERUSER")): {mc.Credentials([]byte("fingerprint of 20 by")), true}}},
		{append(one, 0), map[string]mc.MetKey{}},
	} {
		plain := append([]byte{32, 0, 0, byte(len(test.value))}, test.value...)
		plain = append(plain, append([]byte{48, 0, 0, 23}, make([]byte, 23)...)...)
		k, err := mc.ParseAccountKeys(mc.Key{}, sealAccountKeys(t, mc.Key{}, plain))
		require.NoError(t, err)
		require.Equal(t, test.want, k.SigningKeys)
		require.Len(t, k.ShareKeys, 1)
	}
}

func TestAccountKeysRefuse(t *testing.T) {
	for _, plain := range [][]byte{
		{1}, {1, 0, 0, 1}, {1, 0, 0, 2, 1, 1}, {48, 0, 0, 22}, append([]byte{48, 0, 0, 22}, make([]byte, 22)...),
		{65, 0, 0, 1, 5}, {65, 0, 0, 3, 0, 0, 7}, {65, 0, 0, 3, 0, 0xff, 0xff}, {3, 0, 0, 0},
	} {
		_, err := mc.ParseAccountKeys(mc.Key{}, sealAccountKeys(t, mc.Key{}, plain))
		require.ErrorIs(t, err, mc.ErrAccountKeys, plain)
	}
	for _, blob := range [][]byte{nil, {0x14, 0}, make([]byte, 100), {0x14, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}} {
		_, err := mc.ParseAccountKeys(mc.Key{}, blob)
		require.ErrorIs(t, err, mc.ErrAccountKeys)
	}
}

func FuzzAccountKeys(f *testing.F) {
	f.Add([]byte{1, 0, 0, 1, 1})
	f.Add([]byte("\x41\x00\x00\x13\x08aBcDeFgH\x00\x08USERUSER"))
	f.Add(append([]byte{48, 0, 0, 23}, make([]byte, 23)...))
	f.Fuzz(func(t *testing.T, plain []byte) {
		_, err := mc.ParseAccountKeys(mc.Key{}, sealAccountKeys(t, mc.Key{}, plain))
		if err != nil {
			require.ErrorIs(t, err, mc.ErrAccountKeys)
		}
	})
}

func FuzzPrivateKey(f *testing.F) {
	f.Add([]byte{0, 8, 3, 0, 8, 5, 0, 8, 7, 0, 8, 2})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, plain []byte) {
		k, err := mc.ParsePrivateKey(plain)
		if err != nil {
			require.ErrorIs(t, err, mc.ErrRSA)
		} else {
			_, err = mc.ParsePrivateKey(k.Marshal())
			require.NoError(t, err)
		}
		if pub, err := mc.ParsePublicKey(plain); err == nil {
			_, err = mc.ParsePublicKey(pub.Marshal())
			require.NoError(t, err)
		}
	})
}
