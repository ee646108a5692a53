package megaclient_test

import (
	"bytes"
	"testing"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

func openLink(t *testing.T, s *megatest.Server, text string) *megaclient.Client {
	t.Helper()
	link, err := megacrypto.ParseLink(text)
	require.NoError(t, err)
	c, err := megaclient.OpenLink(megaclient.Config{APIURL: s.URL()}, link)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// TestFolderLink: without an account, what a link to a folder opens is a whole tree, whose changes are heard and whose
// files can be read; also by a client that goes on with what an earlier one has fetched.
func TestFolderLink(t *testing.T) {
	s, a := newWorld(t)
	around := a.Mkdir(a.Root(), "around")
	dir := a.Mkdir(around, "shown")
	want := content(300_000)
	file := a.PutFile(a.Mkdir(dir, "sub"), "file", want, testTime)
	a.PutFile(around, "hidden", []byte("x"), testTime)
	text := a.Export(dir)
	c := openLink(t, s, text)
	require.NoError(t, c.CheckLink(t.Context()))
	require.Equal(t, megaclient.UserHandle(text[len("https://mega.nz/folder/"):][:8]), c.Session().User)

	nodes, result := collect(t, c)
	require.Len(t, nodes, 3)
	require.Zero(t, result.Locked)
	require.Equal(t, "shown", c.LinkName())
	top := nodes[megaclient.Handle(dir)]
	require.Equal(t, megaclient.RootNode, top.Type)
	require.Empty(t, top.Parent)
	require.Equal(t, "file", nameOf(t, nodes[megaclient.Handle(file)]))
	var got bytes.Buffer
	require.NoError(t, c.Get(t.Context(), nodes[megaclient.Handle(file)], &got))
	require.Equal(t, want, got.Bytes())

	later := openLink(t, s, text)
	later.AddShareKeys(c.ShareKeys())
	l := listenFrom(t, later, result.SN)
	added := a.PutFile(dir, "added", []byte("later"), testTime)
	require.Equal(t, "added", nameOf(t, next[*megaclient.NodesPacket](t, l).Nodes[0]))
	a.Move(dir, a.Root())
	moved := next[*megaclient.NodesPacket](t, l).Nodes
	require.Equal(t, megaclient.RootNode, moved[0].Type, "it is the top also when its owner moves it")
	a.Trash(added)
	require.Equal(t, megaclient.Handle(added), next[*megaclient.RemovePacket](t, l).Node)
}

// TestFileLink: a link to a file is a folder with that file alone.
func TestFileLink(t *testing.T) {
	s, a := newWorld(t)
	want := content(300_000)
	c := openLink(t, s, a.Export(a.PutFile(a.Root(), "file", want, testTime)))
	require.NoError(t, c.CheckLink(t.Context()))
	nodes, result := collect(t, c)
	require.Len(t, nodes, 2)
	for _, n := range nodes {
		if n.Type == megaclient.RootNode {
			continue
		}
		require.Equal(t, "file", nameOf(t, n))
		require.Contains(t, nodes, n.Parent)
		var got bytes.Buffer
		require.NoError(t, c.Get(t.Context(), n, &got))
		require.Equal(t, want, got.Bytes())
	}
	l := listenFrom(t, c, result.SN)
	require.Empty(t, (<-l.answers).Packets, "nothing is new")
	l.kick <- struct{}{}
	require.Empty(t, (<-l.answers).Packets)
}

func TestLinksThatLeadNowhere(t *testing.T) {
	s, a := newWorld(t)
	dir, other := a.Mkdir(a.Root(), "dir"), a.Mkdir(a.Root(), "other")
	file := a.PutFile(a.Root(), "file", []byte("x"), testTime)
	folder, second, single := a.Export(dir), a.Export(other), a.Export(file)
	keyOf := func(link string) string { return link[bytes.IndexByte([]byte(link), '#'):] }
	wrong := folder[:len(folder)-len(keyOf(folder))] + keyOf(second)
	require.ErrorIs(t, openLink(t, s, wrong).CheckLink(t.Context()), megaclient.ErrLinkWrongKey)
	wrong = single[:len(single)-len(keyOf(single))] + "#" + megacrypto.EncodeBase64(megacrypto.NewFileKey().Pack())
	require.ErrorIs(t, openLink(t, s, wrong).CheckLink(t.Context()), megaclient.ErrLinkWrongKey)
	for handle, link := range map[string]string{dir: folder, file: single} {
		a.Unexport(handle)
		require.ErrorIs(t, openLink(t, s, link).CheckLink(t.Context()), megaclient.ErrLinkGone, link)
	}
	for _, l := range []megacrypto.Link{
		{Kind: megacrypto.FolderLink, Handle: "short", Key: make([]byte, 16)},
		{Kind: megacrypto.FolderLink, Handle: "AAAAAAAA", Key: make([]byte, 32)},
		{Kind: megacrypto.FileLink, Handle: "AAAAAAAA", Key: make([]byte, 16)},
	} {
		_, err := megaclient.OpenLink(megaclient.Config{APIURL: s.URL()}, l)
		require.Error(t, err)
	}
}
