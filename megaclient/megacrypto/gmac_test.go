package megacrypto_test

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	mc "megadisk/megaclient/megacrypto"
)

func TestGMACIsGCMs(t *testing.T) {
	content := noise(5, 3000)
	rapid.Check(t, func(t *rapid.T) {
		key := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		nonce := [12]byte(rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "nonce"))
		data := content[rapid.IntRange(0, 64).Draw(t, "from"):rapid.IntRange(64, len(content)).Draw(t, "to")]
		block, err := aes.NewCipher(key[:])
		require.NoError(t, err)
		gcm, err := cipher.NewGCM(block)
		require.NoError(t, err)
		want := [16]byte(gcm.Seal(nil, nonce[:], nil, data))

		g := mc.NewGMAC(key)
		var got [16]byte
		g.Sum(&got, &nonce, data)
		require.Equal(t, want, got)
		g.Portable().Sum(&got, &nonce, data)
		require.Equal(t, want, got, "the library's")
	})
}

func TestGMACHidesItsKey(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		require.Equal(t, fmt.Sprintf("%v", mc.NewCipher(mc.FileKey{})), fmt.Sprintf(verb, mc.NewGMAC([32]byte{1})))
	}
}

func TestGMACDoesNotAllocate(t *testing.T) {
	g, data, tag, nonce := mc.NewGMAC([32]byte{}), noise(1, 3000), new([16]byte), new([12]byte)
	require.Zero(t, testing.AllocsPerRun(100, func() { g.Sum(tag, nonce, data) }))
}
