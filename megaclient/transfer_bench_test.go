package megaclient_test

import (
	"bytes"
	"io"
	"testing"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

// BenchmarkTransfers moves a file of 64 MiB to and from the test server, with its encryption and MACs.
func BenchmarkTransfers(b *testing.B) {
	const size = 64 << 20
	server := megatest.NewServer()
	b.Cleanup(server.Close)
	account := server.AddAccount("someone@example.org", "password", megatest.V1(), megatest.Quota(1<<50))
	c, err := megaclient.Login(b.Context(), megaclient.Config{APIURL: server.URL()}, account.Email, "password", "")
	require.NoError(b, err)
	b.Cleanup(c.Close)
	data := content(size)
	file := megaclient.PutFile{Parent: megaclient.Handle(account.Root()), Name: "file", Size: size}
	node, err := c.Put(b.Context(), bytes.NewReader(data), file)
	require.NoError(b, err)
	b.Run("Put", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			n, err := c.Put(b.Context(), bytes.NewReader(data), file)
			require.NoError(b, err)
			account.Remove(string(n.Handle)) // or the server's memory would grow
		}
	})
	b.Run("GetSpread", func(b *testing.B) {
		h := account.Put(megatest.PutSpec{Parent: account.Root(), Name: "spread", Content: data, RAID: true})
		spread := &megaclient.Node{Handle: megaclient.Handle(h), Type: megaclient.FileNode, Size: size, Key: account.Key(h)}
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, c.Get(b.Context(), spread, io.Discard))
		}
	})
	b.Run("Get", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, c.Get(b.Context(), node, io.Discard))
		}
	})
}
