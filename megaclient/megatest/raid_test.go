package megatest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// raidVector is a file and its six parts, as MEGA's SDK takes them apart.
type raidVector struct {
	Size      int64    `json:"size"`
	Digest    string   `json:"file_sha256"`
	PartSizes []int64  `json:"part_sizes"`
	Parts     []string `json:"parts_hex"`    // of small ones
	Digests   []string `json:"parts_sha256"` // of large ones
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func raidVectors(t *testing.T) []raidVector {
	t.Helper()
	text, err := os.ReadFile("testdata/raid.json")
	require.NoError(t, err)
	var file struct{ Vectors []raidVector }
	require.NoError(t, json.Unmarshal(text, &file))
	require.NotEmpty(t, file.Vectors)
	return file.Vectors
}

// The server spreads a file as the vectors say.
func TestRAIDParts(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password, megatest.V1())
	c := login(t, s, a)
	for _, v := range raidVectors(t) {
		stored := make([]byte, v.Size)
		for i := range stored {
			stored[i] = byte(i*7 + 3)
		}
		require.Equal(t, v.Digest, hash(stored))
		key := megacrypto.NewFileKey()
		plain := make([]byte, v.Size)
		megacrypto.NewCipher(key).XORKeyStreamAt(plain, stored, 0)
		h := a.Put(megatest.PutSpec{Parent: a.Root(), Name: "f", Content: plain, Key: &key, RAID: true})

		six := c.cmd(object{"a": "g", "g": 1, "n": h, "v": 2}).(object)["g"].([]any)
		require.Len(t, six, 6)
		for part, size := range v.PartSizes {
			if size == 0 {
				continue
			}
			status, body := c.get(six[part].(string))
			require.Equal(t, http.StatusOK, status)
			require.Len(t, body, int(size), "part %d of %d bytes", part, v.Size)
			if len(v.Digests) > 0 {
				require.Equal(t, v.Digests[part], hash(body), "part %d of %d bytes", part, v.Size)
			} else {
				require.Equal(t, v.Parts[part], hex.EncodeToString(body), "part %d of %d bytes", part, v.Size)
			}
		}
		require.IsType(t, "", c.cmd(object{"a": "g", "g": 1, "n": h}).(object)["g"], "who doesn't ask gets one URL")
	}
}

func TestRAIDAccount(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password, megatest.V1(), megatest.RAID())
	c := login(t, s, a)
	h := a.PutFile(a.Root(), "f", make([]byte, 1000), zero)
	six := c.cmd(object{"a": "g", "g": 1, "n": h, "v": 2}).(object)["g"].([]any)
	require.Len(t, six, 6)
	s.Faults().Part(3).Fail(http.StatusServiceUnavailable, 1)
	for part, want := range []int{200, 200, 200, 503, 200, 200} {
		status, _ := c.get(six[part].(string) + "/0-15")
		require.Equal(t, want, status, "part %d", part)
	}
	s.Faults().Part(0).Corrupt(1)
	_, bad := c.get(six[0].(string) + "/0-15")
	_, good := c.get(six[0].(string) + "/0-15")
	require.NotEqual(t, good, bad)
	require.Equal(t, [6]int{3, 1, 1, 0, 1, 1}, s.Stats().Parts)
}
