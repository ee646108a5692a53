package tree

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
)

var sampleKey = [32]byte{0: 'k', 31: 'y'}

// TestSamples opens the databases that were frozen, one for each format there ever was. A sample is never
// changed. TREE_SAMPLE=file makes one of the current format, for the day when that changes.
func TestSamples(t *testing.T) {
	if to := os.Getenv("TREE_SAMPLE"); to != "" {
		makeSample(t, to)
	}
	for _, name := range []string{"format1.tar.gz"} {
		dir := t.TempDir()
		unpack(t, filepath.Join("testdata", name), dir)
		h := &house{t: t, open: map[Ino]bool{}}
		o := h.options()
		onDisk(dir)(&o)
		o.Key = sampleKey
		var err error
		h.Tree, err = Open(o)
		require.NoError(t, err, name)
		h.checkSample()
		require.NoError(t, h.Close())
	}
}

// makeSample makes a tree with every kind of row in it.
func makeSample(t *testing.T, to string) {
	dir := t.TempDir()
	h := newHouse(t, onDisk(dir), func(o *Options) { o.Key = sampleKey })
	share := folder("SHAREAAA", "THEIRSAA", "shared")
	share.ShareRoot, share.SharedBy, share.Access = true, "FRIENDAAAAA", megaclient.AccessWrite
	locked := file("LOCKEDAA", "FOLDERAA", "")
	locked.Key, locked.Attrs, locked.RawKey, locked.RawAttrs = nil, nil, "rawkey", "rawattrs"
	h.apply(folder("FOLDERAA", rootH, "folder"), file("FILEAAAA", "FOLDERAA", "a/b"), file("VERSIONA", "FILEAAAA", "a/b"),
		created(file("DOUBLEAA", rootH, "x.txt"), 1), created(file("DOUBLEBB", rootH, "x.txt"), 2), file("ORPHANAA", "NOWHEREE", "orphan"),
		share, locked, file("INBINAAA", binH, "old"), file("EDITEDAA", rootH, "edited"), file("REMOVEDA", rootH, "removed"))
	h.create(DriveIno, "made here", File)
	h.pend(h.at("/edited").Ino, PendingContent|PendingAttrs, func(in *Inode) {
		in.Size, in.Mtime, in.Mode, in.HasMode, in.Base.Limit = 7, 42, 0o640, true, 3
	})
	h.unlink(h.at("/removed").Ino)
	h.update(func(tx *Tx) error {
		require.NoError(t, tx.ApplyLink("FILEAAAA", "PUBLICAA", false))
		require.NoError(t, tx.ApplyRemove("INBINAAA", true))
		require.NoError(t, tx.AddShareKeys(map[megaclient.Handle]megaclient.ShareKey{"SHAREAAA": {Key: megacrypto.Key{1}}}))
		require.NoError(t, tx.SetMeta("note", []byte("kept")))
		require.NoError(t, tx.Badger().Set([]byte("wjournal"), []byte("row")))
		return tx.SetSN("SEQUENCE")
	})
	h.checkSample()
	require.NoError(t, h.Close())
	pack(t, dir, to)
}

// checkSample requires what makeSample made.
func (h *house) checkSample() {
	t := h.t
	h.check()
	require.Equal(t, []string{"edited", "folder/", "made here", "x (DOUBLEBB).txt", "x.txt"}, h.names(DriveIno))
	require.Equal(t, []string{"old"}, h.names(BinIno))
	require.Equal(t, []string{"shared/"}, h.names(SharesIno))
	require.Equal(t, []string{"a‛2fb"}, h.names(h.at("/folder").Ino))
	f := h.at("/folder/a‛2fb")
	require.Equal(t, file("FILEAAAA", "", "a/b").Key, f.Base.Key)
	require.Equal(t, Cloud{
		Handle: "FILEAAAA", Parent: "FOLDERAA", Owner: "USERAAAAAAA", Name: "a/b", Size: 170, Created: 1_700_000_000, Key: nodeKey("FILEAAAA", 32),
		Attrs: attrs("a/b", 1_600_000_000), Link: "PUBLICAA", Access: megaclient.AccessOwner, Versions: 1,
	}, *f.Cloud)
	e := h.at("/edited")
	require.Equal(t, PendingContent|PendingAttrs, e.Pending)
	require.Equal(t, []any{int64(7), int64(42), uint32(0o640), true, int64(3)}, []any{e.Size, e.Mtime, e.Mode, e.HasMode, e.Base.Limit})
	require.Equal(t, megaclient.UserHandle("FRIENDAAAAA"), h.at("//shares/shared").Cloud.SharedBy)
	require.Len(t, h.Pending(), 3)
	require.Equal(t, "SEQUENCE", h.SN())
	require.True(t, h.Fetched())
	require.Equal(t, map[megaclient.Handle]megaclient.ShareKey{"SHAREAAA": {Key: megacrypto.Key{1}}}, h.ShareKeys())
	require.NoError(t, h.View(func(tx *Tx) error {
		v, err := tx.Versions(f.Ino)
		require.NoError(t, err)
		require.Equal(t, megaclient.Handle("VERSIONA"), v[0].Handle)
		note, err := tx.Meta("note")
		require.Equal(t, "kept", string(note))
		require.NoError(t, err)
		r, ok, err := tx.handle("ORPHANAA")
		require.True(t, ok)
		require.Equal(t, megaclient.Handle("NOWHEREE"), r.Orphan)
		require.NoError(t, err)
		_, err = tx.Badger().Get([]byte("wjournal"))
		return err
	}))
}

func pack(t *testing.T, dir, to string) {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	require.NoError(t, err)
	w := tar.NewWriter(z)
	require.NoError(t, w.AddFS(os.DirFS(dir)))
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(to, buf.Bytes(), 0o644))
}

func unpack(t *testing.T, from, dir string) {
	f, err := os.Open(from)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	r := tar.NewReader(z)
	for {
		head, err := r.Next()
		if err == io.EOF {
			return
		}
		require.NoError(t, err)
		all, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(head.Name)), all, 0o600))
	}
}

// A sample still does its work: it can be fetched anew.
func TestSampleGoesOn(t *testing.T) {
	dir := t.TempDir()
	unpack(t, filepath.Join("testdata", "format1.tar.gz"), dir)
	h := &house{t: t, open: map[Ino]bool{}}
	o := h.options()
	onDisk(dir)(&o)
	o.Key = sampleKey
	var err error
	h.Tree, err = Open(o)
	require.NoError(t, err)
	defer h.Close()
	h.fetch(file("FILEAAAA", rootH, "moved"))
	require.Equal(t, []string{"edited", "made here", "moved"}, h.names(DriveIno), "what is pending stays")
	_, err = h.Reap(context.Background(), func(Inode) bool { return false })
	require.NoError(t, err)
	h.check()
}
