package megacrypto_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

// Every value under testdata/vectors was produced by running a client that others wrote; the files
// say which. See their fields "rule" and "sources".

// loadVectors decodes one file of vectors and makes sure that it isn't empty.
func loadVectors[T any](t *testing.T, name string) []T {
	t.Helper()
	var file struct {
		Vectors []T `json:"vectors"`
	}
	readVectorFile(t, name, &file)
	require.NotEmpty(t, file.Vectors)
	return file.Vectors
}

func readVectorFile(t *testing.T, name string, to any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", name+".json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, to))
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := mc.DecodeBase64(s)
	require.NoError(t, err)
	return b
}

func fileKey(t testing.TB, aesHex, nonceHex string) mc.FileKey {
	t.Helper()
	return mc.FileKey{Key: mc.Key(unhex(t, aesHex)), Nonce: [8]byte(unhex(t, nonceHex))}
}

// pattern is the content that mac.json and others use.
func pattern(size int64) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*7 + 3)
	}
	return b
}
