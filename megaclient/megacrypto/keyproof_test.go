package megacrypto_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

func TestCredentials(t *testing.T) {
	c := mc.CredentialsOf(nil)
	const shown = "E3B0 C442 98FC 1C14 9AFB F4C8 996F B924 27AE 41E4"
	require.Equal(t, shown, c.String())
	for _, text := range []string{shown, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4", "E3:B0:C442-98fc1c149afbf4c8996fb92427ae41e4"} {
		got, err := mc.ParseCredentials(text)
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	for _, text := range []string{"", "E3B0", shown + " 00", shown[:len(shown)-1] + "g"} {
		_, err := mc.ParseCredentials(text)
		require.ErrorIs(t, err, mc.ErrCredentials, text)
	}
}

func TestVerifyKey(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	key := make([]byte, 32)
	when := binary.BigEndian.AppendUint64(nil, 1700000000)
	good := append(when, ed25519.Sign(private, append(append([]byte("keyauth"), when...), key...))...)
	require.NoError(t, mc.VerifyKey(public, key, good))
	for i := range good { // the time is signed too
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		require.ErrorIs(t, mc.VerifyKey(public, key, bad), mc.ErrKeySignature)
	}
	key[0]++
	require.ErrorIs(t, mc.VerifyKey(public, key, good), mc.ErrKeySignature)
	for _, short := range [][]byte{nil, good[:71]} {
		require.ErrorIs(t, mc.VerifyKey(public, key, short), mc.ErrKeySignature)
	}
	require.ErrorIs(t, mc.VerifyKey(public[:31], key, good), mc.ErrKeySignature)
}
