package megatest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

func TestLoginAndTree(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("User@example.com", password)
	dir := a.Mkdir(a.Root(), "dir")
	file := a.PutFile(dir, "file", []byte("hello"), time.Unix(1700000000, 0))
	c := login(t, s, a)
	require.Equal(t, a.MasterKey(), c.mk)
	answer, nodes := c.fetch()
	require.Len(t, nodes, 5)
	require.Equal(t, dir, nodes[file]["p"])
	require.Contains(t, answer, "ok")
	require.Contains(t, answer, "ok0")
	require.Len(t, answer["sn"], 11)
	require.Equal(t, []byte("hello"), a.ReadFile(file))
	require.Equal(t, time.Unix(1700000000, 0), a.Tree()["dir/file"].Mtime)
}

func TestUploadAndDownload(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	content := make([]byte, 400_000)
	megatest.SyntheticAt(content, 0)
	h := c.put(a.Root(), c.upload("big", content))[0]
	require.Equal(t, content, a.ReadFile(h))

	g := c.cmd(object{"a": "g", "g": 1, "n": h, "ssl": 2}).(object)
	require.EqualValues(t, len(content), g["s"])
	status, body := c.get(g["g"].(string) + "/100-299999")
	require.Equal(t, 200, status)
	key, err := megacrypto.UnpackFileKey(a.Key(h))
	require.NoError(t, err)
	megacrypto.NewCipher(key).XORKeyStreamAt(body, body, 100)
	require.Equal(t, content[100:300_000], body)
}

func TestPacketsReachEverySession(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	one, two := login(t, s, a), login(t, s, a)
	answer, _ := one.fetch()
	sn := answer["sn"].(string)
	cmd := object{"a": "p", "t": a.Root(), "n": []any{one.folder("x")}, "i": "mytag"}
	require.IsType(t, object{}, one.cmd(cmd))
	for _, c := range []*raw{one, two} {
		packets, _ := c.packets(sn)
		require.Len(t, packets, 1)
		require.Equal(t, "t", packets[0]["a"])
		require.Equal(t, "mytag", packets[0]["i"])
	}
}
