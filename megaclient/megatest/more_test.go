package megatest_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

func TestLargeUploadOutOfOrder(t *testing.T) {
	for name, opts := range map[string][]megatest.Option{"memory": nil, "disk": {megatest.WithDir(t.TempDir())}} {
		s := newServer(t, opts...)
		a := s.AddAccount("user@example.com", password)
		c := login(t, s, a)
		content := make([]byte, 3<<20+77)
		megatest.SyntheticAt(content, 0)
		key := megacrypto.NewFileKey()
		cipher := megacrypto.NewCipher(key)
		sent := make([]byte, len(content))
		cipher.XORKeyStreamAt(sent, content, 0)
		url := c.uploadURL(len(content), 2)
		size := int64(len(content))
		var macs []megacrypto.ChunkMAC
		for i := range megacrypto.ChunkCount(size) {
			start, end := megacrypto.ChunkBounds(i, size)
			macs = append(macs, cipher.ChunkMAC(content[start:end]))
		}
		key.MAC = cipher.MetaMAC(macs)
		var token []byte
		_, mid := megacrypto.ChunkBounds(3, size) // several chunks in one piece
		for _, piece := range [][2]int64{{mid, size}, {0, mid}} {
			_, token = c.post(fmt.Sprintf("%s/%d", url, piece[0]), string(sent[piece[0]:piece[1]]))
		}
		require.Len(t, token, 36, name)
		entry := c.folder("large")
		k, err := megacrypto.EncryptKey(c.mk, key.Pack())
		require.NoError(t, err)
		entry["h"], entry["t"], entry["k"] = megacrypto.EncodeBase64(token), 0, megacrypto.EncodeBase64(k)
		h := c.put(a.Root(), entry)[0]
		require.Equal(t, content, a.ReadFile(h), name)
		_, part := c.get(c.downloadURL(h) + "/1048570-1048590")
		require.Equal(t, sent[1048570:1048591], part, name)
	}
}

func TestDiskIsFreed(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, megatest.WithDir(dir))
	a := s.AddAccount("user@example.com", password)
	for range 20 { // large enough for used tokens to be forgotten
		a.Remove(a.PutFile(a.Root(), "f", make([]byte, 8<<20), zero))
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.LessOrEqual(t, len(left), 8)
}

func TestOtherAccountCommands(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password, megatest.Named("Somebody"))
	b := s.AddAccount("other@example.com", password)
	c := login(t, s, a)
	require.Equal(t, "Somebody", c.cmd(object{"a": "ug"}).(object)["name"])
	require.Equal(t, b.Handle, c.cmd(object{"a": "uk", "u": "other@example.com"}).(object)["u"])
	require.Equal(t, -9, c.code(object{"a": "uk", "u": "nobody"}))
	second := login(t, s, a)
	list := c.cmd(object{"a": "usl"}).([]any)
	require.Len(t, list, 2)
	for _, ses := range list {
		if fields := ses.([]any); fields[5] == 0.0 {
			require.Equal(t, 0, c.code(object{"a": "usr", "s": []any{fields[6]}}))
		}
	}
	require.Equal(t, -15.0, second.cmd(object{"a": "ug"}))
	a.SetQuota(10)
	require.Equal(t, -24, c.code(object{"a": "u", "s": 11}))
	require.Equal(t, -24, c.code(object{"a": "u", "s": int64(1)<<62 + 1}))
}

func TestGrantNamesNewNodes(t *testing.T) {
	s, a, b, folder, _ := sharing(t)
	a.Share(folder, b, 0)
	c, guest := login(t, s, a), login(t, s, b)
	up, dir := c.upload("file", []byte("x")), c.folder("dir")
	cr := []any{[]string{folder}, []any{up["h"], dir["h"]}, []any{0, 0, "file's key", 0, 1, "folder's key"}}
	answer := c.cmd(object{"a": "p", "t": folder, "n": []any{up, dir}, "cr": cr}).(object)
	_, nodes := guest.fetch()
	for i, want := range []string{"file's key", "folder's key"} {
		h := answer["f"].([]any)[i].(object)["h"].(string)
		require.Equal(t, folder+":"+want, nodes[h]["k"])
	}
}

func TestTrashKeepsTheWayBack(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	dir := a.Mkdir(a.Root(), "dir")
	file := a.PutFile(dir, "file", []byte("x"), zero)
	a.Trash(file)
	require.True(t, a.InRubbish(file))
	back, _ := a.Attrs(file).String("rr")
	require.Equal(t, dir, back)
}

func TestAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := megatest.NewServerOn(l, megatest.WithPacketSlice(1))
	t.Cleanup(s.Close)
	require.Equal(t, "http://"+l.Addr().String(), s.URL())
	r := newRaw(t, s)
	status, reply := r.post(s.URL()+"//cs?id=1", `[{"a":"us0","user":"x"}]`) // base with a slash, as megajs has it
	require.Equal(t, 200, status)
	require.Contains(t, string(reply), `"v":2`)
	status, _ = r.post(s.URL()+"/nothing", "")
	require.Equal(t, 404, status)
	require.Panics(t, func() { s.AddAccount("a@b.c", "x"); s.AddAccount("a@b.c", "x") })
}
