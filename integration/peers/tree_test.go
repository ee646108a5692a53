package peers

import (
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
)

// Each change that one side makes is seen by the other: by us in a fetch, by megajs through events.
func TestChangesAreSeenInBothDirections(t *testing.T) {
	w := newWorld(t)
	js := w.login()
	ctx := t.Context()

	js.do("mkdir", args{"path": "", "name": "js folder"}, nil)
	ours, err := w.client.Mkdir(ctx, w.root(), "our folder")
	require.NoError(t, err)
	js.see("js folder", "our folder")
	js.put("our folder", "a", []byte("by js"))
	nodes := w.see("js folder", "our folder", "our folder/a")
	w.put(nodes["js folder"].Handle, "ü ☃", []byte("by us"))
	js.see("js folder", "js folder/ü ☃", "our folder", "our folder/a")

	// Renamed.
	js.do("rename", args{"path": "js folder/ü ☃", "name": "renamed by js"}, nil)
	require.NoError(t, w.client.Rename(ctx, nodes["our folder/a"], `renamed "by" us\`))
	js.see("js folder", "js folder/renamed by js", "our folder", `our folder/renamed "by" us\`)
	nodes = w.see("js folder", "js folder/renamed by js", "our folder", `our folder/renamed "by" us\`)
	require.Equal(t, mtime, nodes["js folder/renamed by js"].Mtime(), "megajs keeps the attributes that it doesn't know")
	require.Equal(t, ours.Handle, nodes["our folder"].Handle)

	// Moved, a file by js and a whole folder by us.
	js.do("move", args{"path": "js folder/renamed by js", "target": "our folder"}, nil)
	js.see("js folder", "our folder", "our folder/renamed by js", `our folder/renamed "by" us\`)
	require.NoError(t, w.client.Move(ctx, nodes["our folder"], nodes["js folder"].Handle))
	moved := []string{"js folder", "js folder/our folder", "js folder/our folder/renamed by js", `js folder/our folder/renamed "by" us\`}
	nodes = w.see(moved...)
	js.see(moved...)

	// Deleted, by js to the bin and by us for good.
	js.do("delete", args{"path": "js folder/our folder/renamed by js", "permanent": false}, nil)
	require.NoError(t, w.client.Remove(ctx, nodes[`js folder/our folder/renamed "by" us\`].Handle))
	js.see("js folder", "js folder/our folder")
	w.see("js folder", "js folder/our folder")
	require.Contains(t, w.nodes(), "bin:/renamed by js")
	js.do("delete", args{"path": "js folder", "permanent": true}, nil)
	w.see()
}

func TestPublicFileLinksBothWays(t *testing.T) {
	w := newWorld(t)
	js := w.login()
	const size = 500_000
	js.put("", "by js", content(size))
	ours := w.put(w.root(), "by us", content(size))

	var link struct{ URL string }
	js.do("link", args{"path": "by js"}, &link)
	parsed, err := megacrypto.ParseLink(link.URL)
	require.NoError(t, err)
	n, err := w.client.LinkNode(t.Context(), parsed)
	require.NoError(t, err)
	name, _ := n.Name()
	require.Equal(t, "by js", name)
	w.equal(content(size), w.get(n), "our client over the link of megajs")

	exported, err := w.client.ExportLink(t.Context(), ours)
	require.NoError(t, err)
	got, err := js.fetch("getlink", args{"url": exported.String(), "verify": true})
	require.NoError(t, err)
	w.equal(content(size), got, "megajs over our link")

	require.NoError(t, w.client.Unexport(t.Context(), ours.Handle))
	_, err = js.fetch("getlink", args{"url": exported.String(), "verify": true})
	require.ErrorContains(t, err, "ENOENT")
}

func TestPublicFolderLinksBothWays(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	js := w.login()
	folder, err := w.client.Mkdir(ctx, w.root(), "ours")
	require.NoError(t, err)
	file := w.put(folder.Handle, "before", content(1000))
	link, err := w.client.ExportLink(ctx, folder, megaclient.KeyedNode{Handle: file.Handle, Key: file.Key})
	require.NoError(t, err)
	// What comes into the folder later carries its key for the link.
	_, err = w.client.Mkdir(ctx, folder.Handle, "later", folder.Handle)
	require.NoError(t, err)
	var seen map[string]struct {
		Dir  bool
		Size int64
	}
	js.do("lslink", args{"url": link.String()}, &seen)
	require.Len(t, seen, 2)
	require.EqualValues(t, 1000, seen["before"].Size)
	require.True(t, seen["later"].Dir)
	got, err := js.fetch("getlink", args{"url": link.String(), "path": "before", "verify": true})
	require.NoError(t, err)
	w.equal(content(1000), got, "megajs below our folder link")

	// A folder that megajs exports: another megajs, without an account, lists and reads it.
	js.do("mkdir", args{"path": "", "name": "theirs"}, nil)
	js.see("ours", "ours/before", "ours/later", "theirs")
	js.put("theirs", "inside", content(2000))
	js.see("ours", "ours/before", "ours/later", "theirs", "theirs/inside")
	var theirs struct{ URL string }
	js.do("link", args{"path": "theirs"}, &theirs)
	parsed, err := megacrypto.ParseLink(theirs.URL)
	require.NoError(t, err)
	require.Equal(t, megacrypto.FolderLink, parsed.Kind)
	stranger := newAgent(t, w.server.URL())
	got, err = stranger.fetch("getlink", args{"url": theirs.URL, "path": "inside", "verify": true})
	require.NoError(t, err)
	w.equal(content(2000), got, "megajs below its own folder link")
	// We get the key of what we put into it, and megajs finds that through the link.
	w.nodes() // learns the share's key
	shared := w.see("ours", "ours/before", "ours/later", "theirs", "theirs/inside")["theirs"]
	_, err = w.client.Mkdir(ctx, shared.Handle, "from us", shared.Handle)
	require.NoError(t, err)
	js.do("lslink", args{"url": theirs.URL}, &seen)
	require.Contains(t, seen, "from us")
}
