package megaclient_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

// rig is a server with one account and a client of it.
type rig struct {
	*testing.T
	server  *megatest.Server
	account *megatest.Account
	client  *megaclient.Client
	root    megaclient.Handle
}

func newRig(t *testing.T, opts ...megatest.AccountOption) *rig {
	t.Helper()
	server := megatest.NewServer()
	t.Cleanup(server.Close)
	// An old account, since the key derivation of a new one takes longer than most tests.
	account := server.AddAccount("someone@example.org", "password", append(opts, megatest.V1())...)
	r := &rig{T: t, server: server, account: account, root: megaclient.Handle(account.Root())}
	client, err := megaclient.Login(t.Context(), megaclient.Config{APIURL: server.URL()}, account.Email, "password", "")
	require.NoError(t, err)
	t.Cleanup(client.Close)
	r.client = client
	return r
}

// again makes another client of the same session, as after a restart.
func (r *rig) again() *megaclient.Client {
	r.Helper()
	c, err := megaclient.Resume(megaclient.Config{APIURL: r.server.URL()}, r.client.Session())
	require.NoError(r, err)
	r.Cleanup(c.Close)
	return c
}

// content makes bytes of which no two stretches are alike.
func content(size int64) []byte {
	b := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1, byte(size)})
	_, _ = random.Read(b)
	return b
}

var testTime = time.Unix(1_700_000_000, 0)

func (r *rig) put(name string, data []byte) *megaclient.Node {
	r.Helper()
	n, err := r.client.Put(r.Context(), bytes.NewReader(data), megaclient.PutFile{
		Parent: r.root, Name: name, Size: int64(len(data)), Mtime: testTime,
	})
	require.NoError(r, err)
	return n
}

func (r *rig) get(n *megaclient.Node) []byte {
	r.Helper()
	var b bytes.Buffer
	require.NoError(r, r.client.Get(r.Context(), n, &b))
	return b.Bytes()
}

// plainRange reads and decrypts a part of a file.
func (r *rig) plainRange(n *megaclient.Node, off, length int64) []byte {
	r.Helper()
	var b bytes.Buffer
	require.NoError(r, r.client.ReadContent(r.Context(), n.Handle, off, length, &b))
	k, ok := n.FileKey()
	require.True(r, ok)
	megacrypto.NewCipher(k).XORKeyStreamAt(b.Bytes(), b.Bytes(), off)
	return b.Bytes()
}

func (r *rig) equal(want, got []byte) {
	r.Helper()
	require.True(r, bytes.Equal(want, got), "the bytes differ (%d and %d)", len(want), len(got))
}

func (r *rig) commands(name string) int { return r.server.Stats().Commands[name] }

// borderSizes are sizes at which something changes in the format.
var borderSizes = []int64{
	0, 1, 15, 16, 17, 131056, 131057, 131071, 131072, 131073, 393215, 393216, 393217, 1048575, 1048576,
	1048577, 2752512, 4718591, 4718592, 4718593, 5767168, 9_000_001,
}

func TestFilesOfAllSizes(t *testing.T) {
	r := newRig(t)
	for _, size := range borderSizes {
		want := content(size)
		n := r.put("file", want)
		require.Equal(t, size, n.Size)
		require.Equal(t, testTime, n.Mtime())
		name, _ := n.Name()
		require.Equal(t, "file", name)
		r.equal(want, r.account.ReadFile(string(n.Handle)))
		r.equal(want, r.get(n))
		for range 3 {
			if size > 0 {
				off := rand.Int64N(size)
				length := rand.Int64N(size - off + 1)
				r.equal(want[off:off+length], r.plainRange(n, off, length))
			}
		}
	}
}

func TestPutMakesVersions(t *testing.T) {
	r := newRig(t)
	old := r.put("file", content(10))
	n, err := r.client.Put(t.Context(), bytes.NewReader(content(20)), megaclient.PutFile{
		Parent: r.root, Name: "file", Size: 20, Mtime: testTime, Replaces: old.Handle,
	})
	require.NoError(t, err)
	require.Equal(t, []string{string(n.Handle), string(old.Handle)}, r.account.Versions(string(n.Handle)))
}

// The server may lose an upload between its last byte and the p that uses it.
func TestPutSurvivesALostUpload(t *testing.T) {
	r := newRig(t)
	want := content(200_000)
	lost := false
	n, err := r.client.Put(t.Context(), bytes.NewReader(want), megaclient.PutFile{
		Parent: r.root, Name: "file", Size: int64(len(want)), Mtime: testTime,
		Hooks: megaclient.UploadHooks{Save: func(st *megaclient.UploadState) error {
			if st.Token != "" && !lost {
				lost = true
				r.server.Faults().LoseUploads()
			}
			return nil
		}},
	})
	require.NoError(t, err)
	require.True(t, lost)
	r.equal(want, r.account.ReadFile(string(n.Handle)))

	_, err = r.client.Put(t.Context(), bytes.NewReader(want), megaclient.PutFile{Parent: handleOf(1), Name: "x", Size: 200_000})
	require.ErrorIs(t, err, megaclient.ENOENT)
}

func TestGetNoticesDamage(t *testing.T) {
	r := newRig(t)
	want := content(3_000_000)
	n := r.put("file", want)
	r.server.Faults().CorruptDownloads(1)
	var b bytes.Buffer
	require.ErrorIs(t, r.client.Get(t.Context(), n, &b), megacrypto.ErrMAC)
	require.Equal(t, len(want), b.Len())
	r.equal(want, r.get(n))
}

func TestGetReadsWhatOthersWrote(t *testing.T) {
	r := newRig(t)
	nodes := map[megaclient.Handle][]byte{}
	for _, size := range []int64{0, 131072, 393201} {
		spec := megatest.PutSpec{Parent: r.account.Root(), Name: "js", Content: content(size), JSMAC: true}
		nodes[megaclient.Handle(r.account.Put(spec))] = spec.Content
	}
	found := 0
	_, err := r.client.FetchNodes(t.Context(), false, func(n *megaclient.Node) error {
		if want, ours := nodes[n.Handle]; ours {
			r.equal(want, r.get(n))
			found++
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, len(nodes), found)
	require.ErrorIs(t, r.client.Get(t.Context(), &megaclient.Node{}, io.Discard), megaclient.ErrNoFileKey)
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestGetEndsWithItsWriter(t *testing.T) {
	r := newRig(t)
	n := r.put("file", content(20_000_000))
	require.ErrorIs(t, r.client.Get(t.Context(), n, failingWriter{io.ErrClosedPipe}), io.ErrClosedPipe)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.client.Get(ctx, n, io.Discard), context.Canceled)
}

func TestPublicFileLink(t *testing.T) {
	r := newRig(t)
	want := content(700_000)
	n := r.put("shared file", want)
	link, err := megacrypto.ParseLink(r.account.Export(string(n.Handle)))
	require.NoError(t, err)
	anyone, err := megaclient.NewBare(megaclient.Config{APIURL: r.server.URL()}) // without an account
	require.NoError(t, err)
	t.Cleanup(anyone.Close)

	public, err := anyone.LinkNode(t.Context(), link)
	require.NoError(t, err)
	name, _ := public.Name()
	require.Equal(t, "shared file", name)
	require.Equal(t, int64(len(want)), public.Size)
	require.Equal(t, testTime, public.Mtime())
	var b bytes.Buffer
	require.NoError(t, anyone.Get(t.Context(), public, &b))
	r.equal(want, b.Bytes())

	wrong := link
	wrong.Key = megacrypto.NewFileKey().Pack()
	_, err = anyone.LinkNode(t.Context(), wrong)
	require.ErrorIs(t, err, megacrypto.ErrAttributes)
	dead := link
	dead.Handle = "AAAAAAAA"
	_, err = anyone.LinkNode(t.Context(), dead)
	require.ErrorIs(t, err, megaclient.ENOENT)
	_, err = anyone.LinkNode(t.Context(), megacrypto.Link{Kind: megacrypto.FolderLink})
	require.ErrorIs(t, err, megaclient.ErrNotFileLink)
	_, err = anyone.LinkNode(t.Context(), megacrypto.Link{Handle: link.Handle, Key: []byte{1}})
	require.ErrorIs(t, err, megacrypto.ErrKeyLength)
}
