package megaclient_test

import (
	"encoding/json"
	"testing"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
)

// fuzzClient makes a client that reaches nobody.
func fuzzClient(f *testing.F) *megaclient.Client {
	c, err := megaclient.Resume(megaclient.Config{APIURL: "http://127.0.0.1:1"}, stubSession())
	require.NoError(f, err)
	f.Cleanup(c.Close)
	return c
}

// checkNode holds what every delivered node promises, whatever was sent.
func checkNode(t *testing.T, n *megaclient.Node) {
	require.Len(t, n.Handle, 8)
	require.Contains(t, []int{0, 8}, len(n.Parent))
	require.Contains(t, []int{0, 11}, len(n.Owner))
	require.GreaterOrEqual(t, n.Size, int64(0))
	require.LessOrEqual(t, n.Size, int64(1)<<50)
	require.GreaterOrEqual(t, n.Created, int64(0))
	require.Contains(t, []int{0, 16, 32}, len(n.Key))
	require.True(t, n.Access >= megaclient.AccessRead && n.Access <= megaclient.AccessOwner)
	if n.Attrs != nil {
		require.NotNil(t, n.Key)
	}
	n.Name()
	n.FileKey()
	require.Equal(t, n.Mtime().Unix(), n.Mtime().UnixNano()/1e9)
}

func FuzzNode(f *testing.F) {
	c := fuzzClient(f)
	f.Add([]byte(wireFile("FILEAAAA", "ROOTAAAA", string(stubUser), stubSession().MasterKey, "name")))
	f.Add([]byte(wireFolder("DIRAAAAA", "", "name", `,"su":"PPPPPPPPPPP","r":1,"sk":"AAAAAAAAAAAAAAAAAAAAAA"`)))
	f.Add([]byte(`{"h":"FILEAAAA","t":0,"s":-1,"ts":9223372036854775807,"k":"/:/UUUUUUUUUUU:"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n, ok := c.DecodeNode(raw); ok {
			checkNode(t, n)
			c.Unlock(n)
			checkNode(t, n)
		}
	})
}

func FuzzPacket(f *testing.F) {
	c := fuzzClient(f)
	for _, seed := range []string{
		`{"a":"t","i":"x","t":{"f":[` + wireFolder("DIRAAAAA", "", "d", "") + `],"f2":[{}],"u":[]},"ou":"UUUUUUUUUUU"}`,
		`{"a":"u","n":"FILEAAAA","at":"x","ts":-1}`, `{"a":"d","n":"FILEAAAA","m":1}`, `{"a":"ph","h":"FILEAAAA","ph":"x","n":1}`,
		`{"a":"s2","n":"DIRAAAAA","o":"UUUUUUUUUUU","u":"EXP","r":0,"k":"AAAA","ok":"AAAA","ha":"AAAA"}`, `{"a":"ua","ua":[1]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := c.DecodePacket(json.RawMessage(raw))
		if err != nil {
			require.Nil(t, p)
			return
		}
		p.PacketTag()
		switch p := p.(type) {
		case *megaclient.NodesPacket:
			for _, n := range p.Nodes {
				checkNode(t, n)
			}
		case *megaclient.AttrsPacket:
			require.Len(t, p.Node, 8)
		case *megaclient.RemovePacket:
			require.Len(t, p.Node, 8)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	c := fuzzClient(f)
	for _, seed := range []string{`[0]`, `-3`, `{"err":-9,"u":1}`, `[{"f":[{}]}]`, `["x"]`, `[{"r":[-1]}]`, `[{"e":{"0":-9}}]`, `[[[]]]`, `[-9223372036854775809]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		results, err := c.JudgeAnswer(raw, 1)
		if err == nil {
			require.Len(t, results, 1)
			for _, n := range results[0].Nodes {
				checkNode(t, n)
			}
		}
	})
}

func FuzzTree(f *testing.F) {
	c := fuzzClient(f)
	f.Add([]byte(tree([]string{wireFolder("DIRAAAAA", "", "d", ""), `{}`, `7`}, `,"ok0":[{}],"u":[1],"ph":{},"x":[[{}]]`)))
	f.Add([]byte(`[{"f":[{"h":"AAAAAAAA","t":0}],"f2":[{"h":"AAAAAAAA","t":0}],"sn":"AAAAAAAAAAA"}]`))
	f.Add([]byte(`[{"f":7,"s":"x","sn":[]}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n := 0
		result, err := c.ReadTree(t.Context(), raw, func(node *megaclient.Node) error { n++; checkNode(t, node); return nil })
		if err == nil {
			require.Equal(t, n, result.Nodes)
			require.Len(t, result.SN, 11)
		}
	})
}

func FuzzSession(f *testing.F) {
	kept, err := json.Marshal(stubSession())
	require.NoError(f, err)
	f.Add(kept)
	f.Add([]byte(`{"sid":7}`))
	f.Add([]byte(`{"sid":"x","masterKey":"AAAAAAAAAAAAAAAAAAAAAA","user":"UUUUUUUUUUU"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s, again megaclient.Session
		if json.Unmarshal(raw, &s) != nil {
			return
		}
		kept, err := json.Marshal(s)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(kept, &again))
		require.Equal(t, s.MasterKey, again.MasterKey)
	})
}

func FuzzUsers(f *testing.F) {
	f.Add([]byte(`[{"u":"UUUUUUUUUUU","c":1,"m":"anna@example.com"},{"u":"PPPPPPPPPPP","c":0},7]`))
	f.Add([]byte(`[{"u":"UUUUUUUUUUU","c":-9,"m":"\u0000"},{"u":""},[]]`))
	f.Add([]byte(`{"u":[[[]]]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, u := range megaclient.DecodeUsers(raw) {
			require.Len(t, u.Handle, 11)
			require.LessOrEqual(t, len(u.Email), 254)
			require.False(t, u.Former && u.Contact || u.Contact && u.Self)
		}
	})
}

// FuzzFileAttrs: what storage servers send for pictures, and what nodes say of where these are.
func FuzzFileAttrs(f *testing.F) {
	f.Add([]byte("AAAAAAAA\x10\x00\x00\x000123456789abcdefBBBBBBBB\x00\x00\x00\x00"), "924:1*AAAAAAAAAAA/924:0*BBBBBBBBBBB")
	f.Add([]byte("AAAAAAAA\xff\xff\xff\xff"), "/:*")
	f.Fuzz(func(t *testing.T, body []byte, text string) {
		read := 0
		err := megaclient.EachFileAttr(body, func(_ megaclient.FileAttr, data []byte) {
			read += 12 + len(data)
			if plain, err := megaclient.OpenFileAttr(megacrypto.FileKey{}, data); err == nil {
				require.Len(t, plain, len(data))
			}
		})
		require.LessOrEqual(t, read, len(body))
		require.True(t, err != nil || len(body)-read < 12)
		for _, kind := range []megaclient.FileAttrType{megaclient.Thumbnail, megaclient.Preview} {
			if a, ok := megaclient.ParseFileAttr(text, kind); !ok {
				require.Zero(t, a)
			}
		}
	})
}
