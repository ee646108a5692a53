package megaclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
)

// collect fetches the tree and keeps the nodes by handle.
func collect(t *testing.T, c *megaclient.Client) (map[megaclient.Handle]*megaclient.Node, *megaclient.FetchResult) {
	t.Helper()
	nodes := make(map[megaclient.Handle]*megaclient.Node)
	result, err := c.FetchNodes(t.Context(), true, func(n *megaclient.Node) error {
		nodes[n.Handle] = n
		return nil
	})
	require.NoError(t, err)
	return nodes, result
}

func nameOf(t *testing.T, n *megaclient.Node) string {
	t.Helper()
	require.NotNil(t, n)
	name, ok := n.Name()
	require.True(t, ok)
	return name
}

func TestFetchKeepsOrderAndReadsEverything(t *testing.T) {
	const files = 3000
	master := stubSession().MasterKey
	nodes := []string{
		`{"h":"ROOTAAAA","p":"","u":"UUUUUUUUUUU","t":2,"a":"","k":"","ts":1700000000}`,
		wireFolder("DIRAAAAA", "ROOTAAAA", "dir", ""),
	}
	for i := range files {
		nodes = append(nodes, wireFile(handleOf(i+1), "DIRAAAAA", string(stubUser), master, fmt.Sprint("file ", i)))
	}
	old := wireFile("OLDAAAAA", handleOf(1), string(stubUser), master, "old")
	older := wireFile("OLDBBBBB", handleOf(2), string(stubUser), master, "older")
	nodes = append(nodes, older)
	more := `,"f2":[` + old + `],"mcf":{"c":[[[{}]]]},"u":[{"u":"UUUUUUUUUUU","c":2,"m":"a@b.c"}],` +
		`"ph":[{"h":"DIRAAAAA","ph":"PUBLICAA"}],"s":[{"h":"DIRAAAAA","u":"EXP","r":0}]`
	c := saying(t, "-3", "[-3]", tree(nodes, more)).resume(t)

	var order []megaclient.Handle
	versions := make(map[megaclient.Handle]bool)
	result, err := c.FetchNodes(t.Context(), true, func(n *megaclient.Node) error {
		order = append(order, n.Handle)
		versions[n.Handle] = n.Version
		if n.Type == megaclient.FileNode {
			_, ok := n.FileKey()
			require.True(t, ok)
		}
		return nil
	})
	require.NoError(t, err)
	require.Len(t, order, files+4)
	require.Equal(t, megaclient.Handle("DIRAAAAA"), order[1])
	for i := range files {
		require.Equal(t, handleOf(i+1), order[i+2])
		require.False(t, versions[handleOf(i+1)])
	}
	require.True(t, versions["OLDAAAAA"], "came in f2")
	require.True(t, versions["OLDBBBBB"], "its parent is a file")
	require.Equal(t, "AAAAAAAAAAA", result.SN)
	require.Equal(t, files+4, result.Nodes)
	require.Zero(t, result.Locked+result.Skipped)
	require.Equal(t, megaclient.Handle("PUBLICAA"), result.Links["DIRAAAAA"])
	require.Equal(t, []megaclient.User{{Handle: stubUser, Email: "a@b.c", Self: true}}, result.Users)
	require.Equal(t, []megaclient.Share{{Node: "DIRAAAAA", Link: true}}, result.OutShares)
}

func TestFetchSurvivesHostileNodes(t *testing.T) {
	master := stubSession().MasterKey
	good := wireFile("GOODAAAA", "ROOTAAAA", string(stubUser), master, "good")
	tests := map[string]struct {
		node  string
		check func(t *testing.T, n *megaclient.Node)
	}{
		"no size":        {strings.Replace(good, `"s":1000,`, "", 1), func(t *testing.T, n *megaclient.Node) { require.True(t, n.Damaged); require.Zero(t, n.Size) }},
		"size below 0":   {strings.Replace(good, `"s":1000`, `"s":-1`, 1), func(t *testing.T, n *megaclient.Node) { require.True(t, n.Damaged) }},
		"huge size":      {strings.Replace(good, `"s":1000`, `"s":9223372036854775807`, 1), func(t *testing.T, n *megaclient.Node) { require.True(t, n.Damaged) }},
		"size as text":   {strings.Replace(good, `"s":1000`, `"s":"x"`, 1), func(t *testing.T, n *megaclient.Node) { require.True(t, n.Damaged) }},
		"huge time":      {strings.Replace(good, `1700000000`, `9223372036854775807`, 1), func(t *testing.T, n *megaclient.Node) { require.Positive(t, n.Mtime().UnixNano()) }},
		"beyond integer": {strings.Replace(good, `1700000000`, `1e300`, 1), func(t *testing.T, n *megaclient.Node) { require.Zero(t, n.Created) }},
		"negative time":  {strings.Replace(good, `1700000000`, `-5`, 1), func(t *testing.T, n *megaclient.Node) { require.Zero(t, n.Created) }},
		"no key":         {`{"h":"GOODAAAA","p":"ROOTAAAA","u":"UUUUUUUUUUU","t":0,"a":"AAAA","s":1}`, locked},
		"key of junk":    {`{"h":"GOODAAAA","p":"ROOTAAAA","t":0,"k":"UUUUUUUUUUU:!!!","a":"AAAA","s":1}`, locked},
		"short key":      {`{"h":"GOODAAAA","p":"ROOTAAAA","t":0,"k":"UUUUUUUUUUU:AAAA","a":"AAAA","s":1}`, locked},
		"RSA without":    {`{"h":"GOODAAAA","p":"ROOTAAAA","t":0,"k":"UUUUUUUUUUU:` + strings.Repeat("A", 300) + `","a":"AAAA","s":1}`, locked},
		"odd types":      {`{"h":"GOODAAAA","p":7,"u":[],"t":0,"a":{},"k":null,"s":1,"ts":"x","fa":1,"r":"x","su":3,"i":-7}`, locked},
		"key of folder":  {`{"h":"GOODAAAA","p":"ROOTAAAA","t":0,"k":"UUUUUUUUUUU:AAAAAAAAAAAAAAAAAAAAAA","a":"AAAA","s":1}`, locked},
		"many slashes":   {`{"h":"GOODAAAA","p":"ROOTAAAA","t":0,"k":"` + strings.Repeat("/:", 1000) + `","a":"AAAA","s":1}`, locked},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := saying(t, tree([]string{test.node, wireFolder("DIRAAAAA", "ROOTAAAA", "dir", "")}, "")).resume(t)
			nodes, _ := collect(t, c)
			require.Contains(t, nodes, megaclient.Handle("GOODAAAA"))
			test.check(t, nodes["GOODAAAA"])
			require.Equal(t, "dir", nameOf(t, nodes["DIRAAAAA"]), "the others are not touched")
		})
	}
}

func locked(t *testing.T, n *megaclient.Node) {
	require.Nil(t, n.Key)
	require.Nil(t, n.Attrs)
	_, ok := n.Name()
	require.False(t, ok)
	require.NotPanics(t, func() { n.Mtime(); n.FileKey() })
}

func TestFetchSkipsWhatHasNoHandle(t *testing.T) {
	bad := []string{`{}`, `null`, `7`, `"x"`, `[]`, `{"h":"short","t":0}`, `{"h":"BADBADB!","t":0}`, `{"h":"NOTYPEAA"}`, `{"h":"ODDTYPEA","t":99}`}
	c := saying(t, tree(append(bad, wireFolder("DIRAAAAA", "", "dir", "")), "")).resume(t)
	nodes, result := collect(t, c)
	require.Len(t, nodes, 1)
	require.Equal(t, len(bad), result.Skipped)
}

func TestFetchRefusesWhatIsNoTree(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	for name, answer := range map[string]string{
		"no sn":           `[{"f":[]}]`,
		"sn of junk":      `[{"f":[],"sn":"x"}]`,
		"cut":             `[{"f":[{"h":"AAAAAAAA","t":1`,
		"nested":          `[{"f":[],"x":` + deep + `,"sn":"AAAAAAAAAAA"}]`,
		"huge element":    `[{"f":[{"h":"` + strings.Repeat("A", 6<<20) + `"}],"sn":"AAAAAAAAAAA"}]`,
		"two answers":     `[{"f":[],"sn":"AAAAAAAAAAA"},0]`,
		"broken":          `[{"f":[{]}]`,
		"refused":         `-9`,
		"command refused": `[-11]`,
		"refused in form": `[{"err":-9}]`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := saying(t, answer).resume(t).FetchNodes(t.Context(), false, func(*megaclient.Node) error { return nil })
			require.Error(t, err)
			require.NotErrorIs(t, err, megaclient.ErrUnreachable)
		})
	}
}

func TestFetchEndsWithTheCallersError(t *testing.T) {
	var nodes []string
	for i := range 5000 {
		nodes = append(nodes, wireFolder(handleOf(i+1), "", "x", ""))
	}
	c := saying(t, tree(nodes, "")).resume(t)
	enough := errors.New("enough")
	calls := 0
	_, err := c.FetchNodes(t.Context(), false, func(*megaclient.Node) error { calls++; return enough })
	require.ErrorIs(t, err, enough)
	require.Equal(t, 1, calls)
}

// TestFetchEndsThoughTheServerStalls lets the caller stop while the reader waits for more.
func TestFetchEndsThoughTheServerStalls(t *testing.T) {
	s := newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		_, _ = io.WriteString(w, `[{"f":[`+strings.Repeat(wireFolder("DIRAAAAA", "", "dir", "")+",", 600))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	enough := errors.New("enough")
	c := s.resume(t)
	megaclient.SetIdle(c, never) // nothing else ends it
	_, err := c.FetchNodes(t.Context(), false, func(*megaclient.Node) error { return enough })
	require.ErrorIs(t, err, enough)
}

func TestFetchEndsWithItsContext(t *testing.T) {
	reached := make(chan struct{})
	s := newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		_, _ = io.WriteString(w, `[{"f":[`+wireFolder("DIRAAAAA", "", "dir", "")+`,`)
		w.(http.Flusher).Flush()
		close(reached)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	c := s.resume(t)
	go func() { <-reached; cancel() }()
	_, err := c.FetchNodes(ctx, false, func(*megaclient.Node) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
}

func TestShareKeysAreLearnedOnTheWay(t *testing.T) {
	share, own := megacrypto.NewKey(), megacrypto.NewKey()
	seal := func(k megacrypto.Key) string {
		b, err := megacrypto.EncryptKey(stubSession().MasterKey, k[:])
		require.NoError(t, err)
		return megacrypto.EncodeBase64(b)
	}
	root := wireFolder("SHAREAAA", "ELSEWHER", "shared", `,"su":"PPPPPPPPPPP","r":1,"sk":"`+seal(share)+`"`)
	nodes := []string{
		root,
		wireFile("INSHAREA", "SHAREAAA", "SHAREAAA", share, "in share"),
		wireFile("OWNSHARE", "OUTAAAAA", "OUTAAAAA", own, "from somebody else"),
		wireFile("FORGEDAA", "OUTBBBBB", "OUTBBBBB", own, "key not authentic"),
	}
	auth := megacrypto.EncodeBase64(megacrypto.ShareAuth(stubSession().MasterKey, "OUTAAAAA"))
	more := `,"ok0":[{"h":"OUTAAAAA","ha":"` + auth + `","k":"` + seal(own) + `"},{"h":"OUTBBBBB","ha":"` + auth + `","k":"` + seal(own) + `"}]`
	c := saying(t, tree(nodes, more)).resume(t)
	got, _ := collect(t, c)

	require.Equal(t, "in share", nameOf(t, got["INSHAREA"]))
	require.True(t, got["SHAREAAA"].ShareRoot)
	require.Equal(t, 1, got["SHAREAAA"].Access)
	require.Equal(t, megaclient.UserHandle("PPPPPPPPPPP"), got["SHAREAAA"].SharedBy)

	require.True(t, c.Unlock(got["OWNSHARE"]), "its key came after it")
	require.Equal(t, "from somebody else", nameOf(t, got["OWNSHARE"]))
	require.False(t, c.Unlock(got["FORGEDAA"]))
	require.Equal(t, map[megaclient.Handle]megaclient.ShareKey{"SHAREAAA": {Key: share}, "OUTAAAAA": {Key: own, Proven: true}}, c.ShareKeys())

	fresh := saying(t, "-9").resume(t)
	fresh.AddShareKeys(c.ShareKeys())
	n := *got["INSHAREA"]
	n.Key, n.Attrs = nil, nil
	require.True(t, fresh.Unlock(&n), "keys kept from an earlier run open it")
}

// TestKeysEncryptedWithRSA is how keys come that somebody else made for us.
func TestKeysEncryptedWithRSA(t *testing.T) {
	rsa, err := megacrypto.GeneratePrivateKey()
	require.NoError(t, err)
	session := stubSession()
	private, err := megacrypto.EncryptKey(session.MasterKey, rsa.Marshal())
	require.NoError(t, err)
	session.PrivateKey = megacrypto.EncodeBase64(private)

	seal := func(k []byte) string {
		mpi, err := rsa.Public().Encrypt(k)
		require.NoError(t, err)
		return megacrypto.EncodeBase64(mpi)
	}
	share, file := megacrypto.NewKey(), megacrypto.NewFileKey()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", "by RSA")
	a, err := megacrypto.EncryptAttributes(file.Key, attrs)
	require.NoError(t, err)
	nodes := []string{
		wireFolder("SHAREAAA", "ELSEWHER", "shared", `,"su":"PPPPPPPPPPP","r":2,"sk":"`+seal(share[:])+`"`),
		wireFile("INSHAREA", "SHAREAAA", "SHAREAAA", share, "in share"),
		`{"h":"RSAFILEA","p":"ROOTAAAA","u":"UUUUUUUUUUU","t":0,"s":1,"a":"` + a + `","k":"UUUUUUUUUUU:` + seal(file.Pack()) + `"}`,
	}
	c, err := megaclient.Resume(megaclient.Config{APIURL: saying(t, tree(nodes, "")).URL}, session)
	require.NoError(t, err)
	defer c.Close()
	got, result := collect(t, c)
	require.Zero(t, result.Locked)
	require.Equal(t, "in share", nameOf(t, got["INSHAREA"]))
	require.Equal(t, "by RSA", nameOf(t, got["RSAFILEA"]))
	require.Equal(t, file.Pack(), got["RSAFILEA"].Key)
}

// TestFetchMemory fetches many nodes and looks that they are not kept.
func TestFetchMemory(t *testing.T) {
	const count = 60000
	one := wireFile("XXXXXXXX", "DIRAAAAA", string(stubUser), stubSession().MasterKey, strings.Repeat("n", 100))
	s := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(w, `[{"f":[`+wireFolder("DIRAAAAA", "", "dir", ""))
		for i := range count {
			_, _ = io.WriteString(w, ","+strings.Replace(one, "XXXXXXXX", string(handleOf(i+1)), 1))
		}
		_, _ = io.WriteString(w, `],"sn":"AAAAAAAAAAA"}]`)
	})
	c := s.resume(t)
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, highest := 0, uint64(0)
	_, err := c.FetchNodes(t.Context(), false, func(*megaclient.Node) error {
		if n++; n%10000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			highest = max(highest, now.HeapAlloc)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, count+1, n)
	require.Less(t, int64(highest)-int64(before.HeapAlloc), int64(16<<20), "nodes must not be kept")
}

func BenchmarkFetchNodes(b *testing.B) {
	const count = 50000
	var body strings.Builder
	body.WriteString(`[{"f":[` + wireFolder("DIRAAAAA", "", "dir", ""))
	for i := range count {
		body.WriteString("," + wireFile(handleOf(i+1), "DIRAAAAA", string(stubUser), stubSession().MasterKey, fmt.Sprint("some usual name ", i, ".jpeg")))
	}
	body.WriteString(`],"sn":"AAAAAAAAAAA"}]`)
	c := saying(b, "0").resume(b)
	answer := []byte(body.String())
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.ReadTree(b.Context(), answer, func(*megaclient.Node) error { return nil })
		require.NoError(b, err)
	}
	b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "nodes/s")
}

// TestServerCannotChooseTheKeyOfOurOwnShare: a server that wants to read what is put into a folder could say that we
// share it, with a key that it knows. Only what proves that we made the key is believed.
func TestServerCannotChooseTheKeyOfOurOwnShare(t *testing.T) {
	rsa, err := megacrypto.GeneratePrivateKey()
	require.NoError(t, err)
	private, err := megacrypto.EncryptKey(stubSession().MasterKey, rsa.Marshal())
	require.NoError(t, err)
	session := stubSession()
	session.PrivateKey = megacrypto.EncodeBase64(private)
	chosen := megacrypto.NewKey()
	sealed, err := rsa.Public().Encrypt(chosen[:])
	require.NoError(t, err)
	folder := handleOf(7)
	key := fmt.Sprintf(`{"a":"s","n":"%s","k":"%s"}`, folder, megacrypto.EncodeBase64(sealed))
	lent := fmt.Sprintf(`{"a":"s2","n":"%s","o":"VVVVVVVVVVV","u":"%s","r":2,"k":"%s"}`, folder, stubUser, megacrypto.EncodeBase64(sealed))
	shared := fmt.Sprintf(`{"a":"s2","n":"%s","o":"%s","u":"EXP","r":0,"ok":"%s","ha":"AAAAAAAAAAAAAAAAAAAAAA"}`,
		folder, stubUser, megacrypto.EncodeBase64(sealed[:16]))
	node := wireFolder(folder, handleOf(1), "ours", fmt.Sprintf(`,"su":"%s","sk":"%s"`, stubUser, megacrypto.EncodeBase64(sealed)))

	carries := func(c *megaclient.Client) bool {
		k := megacrypto.NewKey()
		b, err := c.Prepare(megaclient.PutNodes{Parent: folder, Shares: []megaclient.Handle{folder},
			Nodes: []megaclient.NewNode{{Type: megaclient.FolderNode, Key: k[:], Attrs: megacrypto.Attributes{}}}})
		require.NoError(t, err)
		return strings.Contains(string(b.Body), `"cr"`)
	}
	for name, events := range map[string][]string{
		"after":   {shared, key},
		"before":  {key, shared},
		"as lent": {lent, shared},
		"without": {key},
	} {
		c, err := megaclient.Resume(megaclient.Config{APIURL: "http://127.0.0.1:1"}, session)
		require.NoError(t, err)
		for _, e := range events {
			_, err := c.DecodePacket([]byte(e))
			require.NoError(t, err)
		}
		require.False(t, carries(c), "a key %s the share", name)
		require.Empty(t, c.ShareKeys(), "%s: nor is it kept", name)
	}

	for _, part := range []string{"s", "ps"} {
		c, err := megaclient.Resume(megaclient.Config{APIURL: "http://127.0.0.1:1"}, session)
		require.NoError(t, err)
		answer := tree([]string{node}, fmt.Sprintf(`,"%s":[{"h":"%s","u":"VVVVVVVVVVV","r":2,"ts":1}]`, part, folder))
		_, err = c.ReadTree(t.Context(), []byte(answer), func(*megaclient.Node) error { return nil })
		require.NoError(t, err)
		require.False(t, carries(c), part)
		// With its proof it is believed, and then not replaced.
		own := megacrypto.NewKey()
		ok, err := megacrypto.EncryptKey(session.MasterKey, own[:])
		require.NoError(t, err)
		_, err = c.DecodePacket([]byte(fmt.Sprintf(`{"a":"s2","n":"%s","o":"%s","u":"EXP","r":0,"ok":"%s","ha":"%s"}`, folder, stubUser,
			megacrypto.EncodeBase64(ok), megacrypto.EncodeBase64(megacrypto.ShareAuth(session.MasterKey, string(folder))))))
		require.NoError(t, err)
		_, err = c.DecodePacket([]byte(key))
		require.NoError(t, err)
		require.True(t, carries(c))
		require.Equal(t, map[megaclient.Handle]megaclient.ShareKey{folder: {Key: own, Proven: true}}, c.ShareKeys())
	}
}
