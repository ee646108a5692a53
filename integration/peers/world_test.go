package peers

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

const password = "correct horse"

var mtime = time.Unix(1_700_000_000, 0)

// world is a server with an account, and our own client of it.
type world struct {
	*testing.T
	server  *megatest.Server
	account *megatest.Account
	client  *megaclient.Client
}

func newWorld(t *testing.T, opts ...megatest.AccountOption) *world {
	t.Helper()
	server := megatest.NewServer()
	t.Cleanup(server.Close)
	account := server.AddAccount("peer@example.org", password, opts...)
	client, err := megaclient.Login(t.Context(), megaclient.Config{APIURL: server.URL()}, account.Email, password, "")
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &world{T: t, server: server, account: account, client: client}
}

// login starts megajs with the world's account.
func (w *world) login() *agent {
	w.Helper()
	a := newAgent(w.T, w.server.URL())
	var who struct{ User string }
	a.do("login", args{"email": w.account.Email, "password": password}, &who)
	require.Equal(w, w.account.Handle, who.User)
	return a
}

func (w *world) root() megaclient.Handle { return megaclient.Handle(w.account.Root()) }

// put stores a file with our own client.
func (w *world) put(parent megaclient.Handle, name string, content []byte) *megaclient.Node {
	w.Helper()
	n, err := w.client.Put(w.Context(), bytes.NewReader(content), megaclient.PutFile{
		Parent: parent, Name: name, Size: int64(len(content)), Mtime: mtime,
	})
	require.NoError(w, err)
	return n
}

// get reads a file with our own client.
func (w *world) get(n *megaclient.Node) []byte {
	w.Helper()
	var b bytes.Buffer
	require.NoError(w, w.client.Get(w.Context(), n, &b))
	return b.Bytes()
}

// nodes fetches the drive with our own client, by path.
func (w *world) nodes() map[string]*megaclient.Node {
	w.Helper()
	all := map[megaclient.Handle]*megaclient.Node{}
	_, err := w.client.FetchNodes(w.Context(), false, func(n *megaclient.Node) error { all[n.Handle] = n; return nil })
	require.NoError(w, err)
	paths := map[string]*megaclient.Node{}
	for _, n := range all {
		path := ""
		for at := n; at != nil && at.Type != megaclient.RootNode; at = all[at.Parent] {
			name, ok := at.Name()
			if at.Type == megaclient.RubbishNode {
				name, ok = "bin:", true
			}
			if !ok || at.Version {
				path = ""
				break
			}
			path = "/" + name + path
		}
		if path != "" && n.Type <= megaclient.FolderNode {
			paths[path[1:]] = n
		}
	}
	return paths
}

// see demands that the server and our own client have exactly these paths in the drive.
func (w *world) see(paths ...string) map[string]*megaclient.Node {
	w.Helper()
	require.ElementsMatch(w, paths, slices.Collect(maps.Keys(w.account.Tree())))
	nodes := w.nodes()
	ours := slices.DeleteFunc(slices.Collect(maps.Keys(nodes)), func(p string) bool { return strings.HasPrefix(p, "bin:") })
	require.ElementsMatch(w, paths, ours)
	return nodes
}

func (w *world) equal(want, got []byte, what string, more ...any) {
	w.Helper()
	require.True(w, bytes.Equal(want, got), "%s: the bytes differ (%d and %d)", fmt.Sprintf(what, more...), len(want), len(got))
}

// content makes bytes of which no two stretches are alike.
func content(size int64) []byte {
	b := make([]byte, size)
	random := rand.NewChaCha8([32]byte{7, byte(size), byte(size >> 8), byte(size >> 16)})
	_, _ = random.Read(b)
	return b
}

// sizes are those around everything that changes in the format.
var sizes = []int64{
	0, 1, 15, 16, 17, 131056, 131057, 131071, 131072, 131073, 393200, 393215, 393216, 393217, 786432, 1048575,
	1048576, 1048577, 3670016, 4718591, 4718592, 4718593, 5767168, 8_000_000,
}

// jsRefuses tells which correct files megajs calls damaged: empty ones, and those whose padded size is
// where a chunk ends (PROTOCOL 4.4).
func jsRefuses(size int64) bool {
	padded := (size + 15) &^ 15
	start, _ := megacrypto.ChunkBounds(megacrypto.ChunkIndex(padded), padded+1)
	return start == padded // also of 0
}
