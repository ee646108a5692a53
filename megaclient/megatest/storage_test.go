package megatest_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// uploadURL asks for room for size bytes, in the form of token that v asks for.
func (r *raw) uploadURL(size, v int) string {
	r.t.Helper()
	return r.cmd(object{"a": "u", "s": size, "v": v}).(object)["p"].(string)
}

func TestUploadPiecesAreChecked(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	const size = 131072*3 + 10 // three chunks: 128 KiB, 256 KiB, 10 bytes
	bytes := func(n int) string { return strings.Repeat("x", n) }
	url := c.uploadURL(size, 2)
	for _, tc := range []struct {
		name, path, body, want string
	}{
		{"not on a border", "/16", bytes(16), "-7"},
		{"not up to a border", "/0", bytes(1000), "-7"},
		{"negative", "/-1", bytes(1), "-7"},
		{"beyond the end", "/393216", bytes(11), "-7"},
		{"behind the end", "/393226", bytes(1), "-7"},
		{"nothing", "/0", "", "-7"},
		{"far behind", "/1310720", bytes(10), "-7"},
		{"wrong checksum", "/393216?d=AAAAAAAAAAAAAAAA", bytes(10), "-14"},
		{"last piece, old form of checksum", "/393216?c=" + megacrypto.UploadChecksum([]byte(bytes(10))), bytes(10), ""},
		{"the same again", "/393216?d=" + megacrypto.UploadChecksum([]byte(bytes(10))), bytes(10), "0"},
		{"two chunks less one", "/0", bytes(131072), ""},
		{"token with the piece that completes it", "/131072", bytes(262144), "TOKEN"},
		{"token again", "/393216", bytes(10), "TOKEN"},
	} {
		status, reply := c.post(url+tc.path, tc.body)
		require.Equal(t, 200, status, tc.name)
		if tc.want == "TOKEN" {
			require.Len(t, reply, 36, tc.name)
			continue
		}
		require.Equal(t, tc.want, string(reply), tc.name)
	}
	status, _ := c.post(s.URL()+"/ul/unknown/0", "x")
	require.Equal(t, 404, status)
	status, _ = c.post(url+"/x", "x")
	require.Equal(t, 404, status)
	status, _ = c.get(url + "/0")
	require.Equal(t, 405, status)
}

// Of pieces that arrive at the same time one alone completes the file.
func TestOneTokenForPiecesAtOnce(t *testing.T) {
	s := newServer(t)
	c := login(t, s, s.AddAccount("user@example.com", password))
	const size = 3 << 20
	for range 10 {
		url := c.uploadURL(size, 2)
		var posts sync.WaitGroup
		var tokens atomic.Int32
		for i := range megacrypto.ChunkCount(size) {
			start, end := megacrypto.ChunkBounds(i, size)
			posts.Go(func() {
				status, reply, err := c.tryPost(fmt.Sprint(url, "/", start), strings.Repeat("x", int(end-start)))
				if assert.NoError(t, err) && assert.Equal(t, 200, status) && len(reply) > 0 {
					tokens.Add(1)
				}
			})
		}
		posts.Wait()
		require.EqualValues(t, 1, tokens.Load())
	}
}

func TestTokenForms(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	entry := c.folder("x")
	entry["t"], entry["k"] = 0, strings.Repeat("A", 43)
	_, text := c.post(c.uploadURL(1, 0)+"/0", "x")
	require.Regexp(t, `^[A-Za-z0-9_-]{27}$`, string(text))
	entry["h"] = string(text)
	require.Len(t, c.put(a.Root(), entry), 1)
	require.Len(t, c.put(a.Root(), entry), 1, "a token works twice")
	_, token := c.post(c.uploadURL(0, 3)+"/0", "")
	require.Len(t, token, 36, "nothing to send is complete with one empty piece")
}

func TestSingleUseTokens(t *testing.T) {
	s := newServer(t, megatest.WithSingleUseTokens())
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	up := c.upload("x", []byte("1"))
	c.put(a.Root(), up)
	require.Equal(t, -9, c.code(object{"a": "p", "t": a.Root(), "n": []any{up}}))
}

func TestDownloadRanges(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	h := a.PutFile(a.Root(), "f", []byte("0123456789"), zero)
	url := c.downloadURL(h)
	plain := func(body []byte, off int64) string {
		key, err := megacrypto.UnpackFileKey(a.Key(h))
		require.NoError(t, err)
		megacrypto.NewCipher(key).XORKeyStreamAt(body, body, off)
		return string(body)
	}
	for span, want := range map[string]string{
		"/0-9": "0123456789", "/3-5": "345", "/9-9": "9", "": "0123456789", "/4-": "456789", "/8-100": "89",
	} {
		var off int64
		_, _ = fmt.Sscanf(span, "/%d", &off)
		status, body := c.get(url + span)
		require.Equal(t, 200, status, span)
		require.Equal(t, want, plain(body, off), span)
		status, body = c.post(url+span, "") // as the SDK does
		require.Equal(t, 200, status, span)
		require.Equal(t, want, plain(body, off), span)
	}
	for _, span := range []string{"/10-12", "/5-3", "/x-y", "/-1-3", "/4"} {
		status, _ := c.get(url + span)
		require.Equal(t, http.StatusRequestedRangeNotSatisfiable, status, span)
	}
	status, _ := c.get(s.URL() + "/dl/unknown/0-1")
	require.Equal(t, 404, status)
	a.Remove(h)
	status, _ = c.get(url + "/0-9")
	require.Equal(t, 200, status, "a URL outlives its node")
}

// downloadURL asks for the URL of a file.
func (r *raw) downloadURL(h string) string {
	r.t.Helper()
	return r.cmd(object{"a": "g", "g": 1, "n": h}).(object)["g"].(string)
}

func TestURLsExpire(t *testing.T) {
	now := time.Unix(1700000000, 0)
	s := newServer(t, megatest.WithURLLifetime(time.Hour), megatest.WithClock(func() time.Time { return now }))
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	up, down := c.uploadURL(1, 2), c.downloadURL(a.PutFile(a.Root(), "f", []byte("x"), zero))
	now = now.Add(2 * time.Hour)
	_, reply := c.post(up+"/0", "x")
	require.Equal(t, "-8", string(reply))
	status, _ := c.get(down + "/0-0")
	require.Equal(t, 403, status)
}

func TestSyntheticContent(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	h := a.Put(megatest.PutSpec{Parent: a.Root(), Name: "huge", Size: 3<<20 + 5, Mtime: time.Unix(7, 0)})
	content := a.ReadFile(h) // verifies the MAC
	part := make([]byte, 1000)
	megatest.SyntheticAt(part, 1<<20+3)
	require.Equal(t, part, content[1<<20+3:][:1000])
	require.NotEqual(t, part, content[:1000])
}

func TestContentOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, megatest.WithDir(dir), megatest.WithSingleUseTokens())
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	content := make([]byte, 300_000)
	megatest.SyntheticAt(content, 0)
	h := c.put(a.Root(), c.upload("f", content))[0]
	require.Equal(t, content, a.ReadFile(h))
	require.Equal(t, content[:5], func() []byte {
		_, body := c.get(c.downloadURL(h) + "/0-4")
		key, _ := megacrypto.UnpackFileKey(a.Key(h))
		megacrypto.NewCipher(key).XORKeyStreamAt(body, body, 0)
		return body
	}())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	s.Close()
	left, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestFileAttributes(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	h := a.PutFile(a.Root(), "f", []byte("x"), zero)
	answer, _ := c.fetch()
	url := c.cmd(object{"a": "ufa", "s": 5, "h": h, "ssl": 2}).(object)["p"].(string)
	status, handle := c.post(url+"/0", "thumb")
	require.Equal(t, 200, status)
	require.Len(t, handle, 8)
	id := megacrypto.EncodeBase64(handle)
	fa := c.cmd(object{"a": "pfa", "n": h, "fa": "0*" + id}).(string)
	require.Equal(t, "1:0*"+id, fa)
	packets, _ := c.packets(answer["sn"].(string))
	require.Equal(t, []string{"fa"}, types(packets))
	_, nodes := c.fetch()
	require.Equal(t, fa, nodes[h]["fa"])
	get := c.cmd(object{"a": "ufa", "fah": id, "r": 1, "ssl": 2}).(object)["p"].(string)
	_, body := c.post(get, string(handle))
	require.Equal(t, string(handle)+"\x05\x00\x00\x00thumb", string(body))
	_, reply := c.post(url+"/0", "wrong length")
	require.Equal(t, "-7", string(reply))
}
