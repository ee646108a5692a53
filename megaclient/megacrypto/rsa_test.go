package megacrypto_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

type rsaVector struct {
	MasterKey string `json:"master_key_hex"`
	Sealed    string `json:"privk_b64"`
	Private   string `json:"privk_decrypted_hex"`
	Public    string `json:"pubk_b64"`
	CSID      string `json:"csid_b64"`
	SID       string `json:"sid_b64"`
	User      string `json:"user_handle"`
	NodeKey   string `json:"rsa_encrypted_node_key_b64"`
	PlainKey  string `json:"node_key_hex"`
}

func TestRSAVectors(t *testing.T) {
	for _, v := range loadVectors[rsaVector](t, "rsa") {
		plain, err := mc.DecryptKey(mc.Key(unhex(t, v.MasterKey)), unbase64(t, v.Sealed))
		require.NoError(t, err)
		require.Equal(t, unhex(t, v.Private), plain)
		k, err := mc.ParsePrivateKey(plain)
		require.NoError(t, err)

		sid, err := k.Decrypt(unbase64(t, v.CSID), 43)
		require.NoError(t, err)
		require.Equal(t, v.SID, mc.EncodeBase64(sid))
		require.Equal(t, v.User, string(sid[16:27]))

		nodeKey, err := k.Decrypt(unbase64(t, v.NodeKey), 32)
		require.NoError(t, err)
		require.Equal(t, unhex(t, v.PlainKey), nodeKey)

		pub, err := mc.ParsePublicKey(unbase64(t, v.Public))
		require.NoError(t, err)
		require.Equal(t, pub.Marshal(), k.Public().Marshal())
		again, err := mc.ParsePrivateKey(k.Marshal())
		require.NoError(t, err)
		require.Equal(t, k.Marshal(), again.Marshal())
	}
}

// Data may begin with zero bytes: clients that take the integer's own bytes lose them.
func TestRSALeadingZeros(t *testing.T) {
	k, err := mc.GeneratePrivateKey()
	require.NoError(t, err)
	pub, err := mc.ParsePublicKey(k.Public().Marshal())
	require.NoError(t, err)
	require.Zero(t, len(k.Marshal())%16)
	for zeros := range 5 {
		data := append(make([]byte, zeros), bytes.Repeat([]byte{0xee}, 43-zeros)...)
		sealed, err := pub.Encrypt(data)
		require.NoError(t, err)
		got, err := k.Decrypt(sealed, 43)
		require.NoError(t, err)
		require.Equal(t, data, got)
	}
	got, err := pub.Encrypt(make([]byte, 254))
	require.NoError(t, err)
	zeros, err := k.Decrypt(got, 254)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 254), zeros)
	_, err = pub.Encrypt(make([]byte, 255))
	require.ErrorIs(t, err, mc.ErrRSA)
}

// The server could learn the key from what a client makes of a damaged one.
func TestRSARefusesDamagedKeys(t *testing.T) {
	good := unhex(t, loadVectors[rsaVector](t, "rsa")[0].Private)
	for name, damage := range map[string]func(b []byte) []byte{
		"empty":      func([]byte) []byte { return nil },
		"cut":        func(b []byte) []byte { return b[:len(b)-32] },
		"longer":     func(b []byte) []byte { return append(b, make([]byte, 32)...) },
		"other u":    func(b []byte) []byte { b[len(b)-40] ^= 1; return b },
		"other p":    func(b []byte) []byte { b[50] ^= 1; return b },
		"even q":     func(b []byte) []byte { b[2+128+2+127] &^= 1; return b },
		"p length 0": func(b []byte) []byte { b[0], b[1] = 0, 0; return b },
	} {
		_, err := mc.ParsePrivateKey(damage(bytes.Clone(good)))
		require.ErrorIs(t, err, mc.ErrRSA, name)
	}
	k, err := mc.ParsePrivateKey(good)
	require.NoError(t, err)
	for _, c := range [][]byte{nil, {0}, {0, 8}, bytes.Repeat([]byte{0xff}, 2+8192), append([]byte{8, 0}, bytes.Repeat([]byte{0xff}, 256)...)} {
		_, err := k.Decrypt(c, 43)
		require.ErrorIs(t, err, mc.ErrRSA)
	}
}

// Writers either give the exact bit length or round it up to whole bytes.
func TestRSAReadsRoundedLengths(t *testing.T) {
	v := loadVectors[rsaVector](t, "rsa")[0]
	pub := unbase64(t, v.Public)
	exact, err := mc.ParsePublicKey(pub)
	require.NoError(t, err)
	e := len(pub) - 3
	require.Equal(t, []byte{0, 5, 17}, exact.Marshal()[e:])
	rounded := append(bytes.Clone(exact.Marshal()[:e]), 0, 8, 17)
	again, err := mc.ParsePublicKey(rounded)
	require.NoError(t, err)
	require.Equal(t, exact.Marshal(), again.Marshal())
}
