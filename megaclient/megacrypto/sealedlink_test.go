package megacrypto_test

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

func TestSealedLinks(t *testing.T) {
	for _, plain := range []string{
		"https://mega.nz/file/aBcDeFgH#" + testFileKey,
		"https://mega.nz/folder/aBcDeFgH#" + testFolderKey,
	} {
		l, err := mc.ParseLink(plain)
		require.NoError(t, err)
		sealed, err := mc.SealLink(l, "päss word")
		require.NoError(t, err)
		require.True(t, mc.IsSealedLink(sealed))
		require.False(t, mc.IsSealedLink(plain))
		opened, err := mc.UnsealLink(" "+sealed+"\n", "päss word")
		require.NoError(t, err)
		require.Equal(t, l, opened)

		_, err = mc.UnsealLink(sealed, "pass word")
		require.ErrorIs(t, err, mc.ErrLinkPassword)
		_, err = mc.UnsealLink(sealed[:len(sealed)-4], "päss word")
		require.ErrorIs(t, err, mc.ErrLinkKey)
		_, err = mc.UnsealLink(plain, "päss word")
		require.ErrorIs(t, err, mc.ErrLink)
		again, err := mc.SealLink(l, "päss word")
		require.NoError(t, err)
		require.NotEqual(t, sealed, again, "each has a salt of its own")
	}
	for _, bad := range []string{"https://mega.nz/#P!", "https://mega.nz/#P!AwAA", "https://mega.nz/#P!AgIA", "https://mega.nz/#P!%"} {
		_, err := mc.UnsealLink(bad, "x")
		require.Error(t, err, bad)
	}
	_, err := mc.SealLink(mc.Link{Handle: "aBcDeFgH", Kind: mc.FolderLink, Key: make([]byte, 32)}, "x")
	require.ErrorIs(t, err, mc.ErrLink)
}

// TestSealedLinksOfOthers: written out here, byte by byte, as MEGA's clients make them (encryptlink of their SDK), with both
// algorithms.
func TestSealedLinksOfOthers(t *testing.T) {
	const password = "correct horse"
	salt := []byte(strings.Repeat("salt", 8))
	key, err := mc.DecodeBase64(testFolderKey)
	require.NoError(t, err)
	derived, err := pbkdf2.Key(sha512.New, password, salt, 100000, 64)
	require.NoError(t, err)
	for algorithm := byte(1); algorithm <= 2; algorithm++ {
		body := append([]byte{algorithm, 0, 1, 2, 3, 4, 5, 6}, salt...)
		for i, b := range key {
			body = append(body, b^derived[i])
		}
		macKey, macData := derived[32:], body
		if algorithm == 1 {
			macKey, macData = body, derived[32:]
		}
		mac := hmac.New(sha256.New, macKey)
		mac.Write(macData)
		link, err := mc.UnsealLink("https://mega.nz/#P!"+mc.EncodeBase64(append(append([]byte{}, body...), mac.Sum(nil)...)), password)
		require.NoError(t, err)
		require.Equal(t, mc.Link{Kind: mc.FolderLink, Handle: mc.EncodeBase64([]byte{1, 2, 3, 4, 5, 6}), Key: key}, link)
	}
}
