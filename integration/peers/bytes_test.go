package peers

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// What our own client and the test server's trusted client write, megajs reads.
func TestMegajsReadsOurFiles(t *testing.T) {
	w := newWorld(t)
	for _, size := range sizes {
		w.put(w.root(), fmt.Sprintf("ours-%d", size), content(size))
		w.account.PutFile(w.account.Root(), fmt.Sprintf("theirs-%d", size), content(size), mtime)
	}
	js := w.login()
	for _, size := range sizes {
		for _, by := range []string{"ours", "theirs"} {
			path := fmt.Sprintf("%s-%d", by, size)
			got, err := js.get(path, true)
			if jsRefuses(size) {
				require.ErrorContains(t, err, "MAC verification failed", path)
				got, err = js.get(path, false)
			}
			require.NoError(t, err, path)
			w.equal(content(size), got, "%s", path)
		}
	}
}

// What megajs writes, our own client and the test server's trusted client read. Its MACs are wrong at
// some sizes, and only there.
func TestWeReadMegajsFiles(t *testing.T) {
	w := newWorld(t)
	js := w.login()
	for _, size := range sizes {
		handle := js.put("", fmt.Sprint(size), content(size))
		w.equal(content(size), w.account.ReadFile(handle), "the server's own reader, %d bytes", size)
	}
	nodes := w.nodes()
	for _, size := range sizes {
		n := nodes[fmt.Sprint(size)]
		require.NotNil(t, n, size)
		require.Equal(t, size, n.Size)
		w.equal(content(size), w.get(n), "our client, %d bytes", size)
		want := megacrypto.MACExact
		switch {
		case size == 0:
			want = megacrypto.MACEmpty
		case jsRefuses(size):
			want = megacrypto.MACExtraEnd
		}
		require.Equal(t, want, variantOf(w, n), "%d bytes", size)

		back, err := js.get(fmt.Sprint(size), true)
		require.NoError(t, err, "megajs accepts its own %d bytes", size)
		w.equal(content(size), back, "megajs itself, %d bytes", size)
	}
}

func variantOf(w *world, n *megaclient.Node) megacrypto.MACVariant {
	k, ok := n.FileKey()
	require.True(w, ok)
	c := megacrypto.NewCipher(k)
	plain := content(n.Size)
	var macs []megacrypto.ChunkMAC
	for i := range megacrypto.ChunkCount(n.Size) {
		start, end := megacrypto.ChunkBounds(i, n.Size)
		macs = append(macs, c.ChunkMAC(plain[start:end]))
	}
	v, err := c.CheckMAC(n.Size, macs, k.MAC)
	require.NoError(w, err)
	return v
}

// The kinds of accounts, each logged in to by megajs and by us.
func TestMegajsAccounts(t *testing.T) {
	for name, opts := range map[string][]megatest.AccountOption{
		"current": nil, "old": {megatest.V1()}, "with ^!keys": {megatest.WithAccountKeys()},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, opts...)
			js := w.login()
			js.put("", "from js", []byte("one"))
			w.put(w.root(), "from us", []byte("two"))
			js.see("from js", "from us")
			w.equal([]byte("one"), w.get(w.see("from js", "from us")["from js"]), "from js")
			got, err := js.get("from us", true)
			require.NoError(t, err)
			w.equal([]byte("two"), got, "from us")
			var quota struct{ SpaceUsed, SpaceTotal int64 }
			js.do("quota", nil, &quota)
			ours, err := w.client.Quota(t.Context())
			require.NoError(t, err)
			require.Equal(t, quota.SpaceUsed, ours.Used)
			require.Equal(t, quota.SpaceTotal, ours.Total)
			js.do("logout", nil, nil)
		})
	}
}
