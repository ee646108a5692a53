package tree

import (
	"encoding/json"
	"strings"
	"testing"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
)

func fullInode() *Inode {
	return &Inode{
		Ino: 1 << 40, Kind: File, Parent: 77, Name: "na\xffme", Mode: 0o755, HasMode: true, Size: 1 << 41, Mtime: -5, Ctime: 6, Btime: 7,
		Removed: true, Pending: PendingAttrs | PendingPlace, Epoch: 9,
		ModeLocal: true, Exact: true, Link: true, Xattrs: map[string]string{"a\xff": "", "b": "\x00"}, Own: OwnMode | OwnLink,
		Base: Base{Handle: "BASEAAAA", Key: nodeKey("K", 32), Size: 3, Limit: 2},
		Cloud: &Cloud{
			Handle: "HANDLEAA", Parent: "PARENTAA", Owner: "OWNERAAAAAA", Type: megaclient.FileNode, Name: "raw/\x00", Size: 12, Created: -13,
			Key: nodeKey("Q", 32), Attrs: megacrypto.Attributes{"n": json.RawMessage(`"raw"`), "x\xff": json.RawMessage(`1`)},
			RawKey: "k", RawAttrs: "a", FileAttrs: "fa", Link: "LINKAAAA", Access: 2, Share: true, SharedBy: "SHARERAAAAA", Versions: 300, Damaged: true, Foreign: true,
		},
	}
}

func TestDecodeInode(t *testing.T) {
	for _, in := range []*Inode{fullInode(), {Ino: 2, Kind: Dir}, {Ino: 16, Kind: Dir, Parent: 2, Name: "d", Cloud: &Cloud{Handle: "H"}},
		{Ino: 1<<32 + 1, Kind: File, Mtime: -1 << 40, Size: 255, Was: Place{Parent: 300, Name: strings.Repeat("n", 255)}},
		{Ino: 70_000, Kind: File, Cloud: &Cloud{Created: 1 << 33, RawAttrs: strings.Repeat("a", 70_000)}, Base: Base{Limit: 1}, Was: Place{Name: "w"}}} {
		b, err := encodeRow(in)
		require.NoError(t, err)
		var got, lib Inode
		require.NoError(t, decodeInode(b, &got))
		require.NoError(t, decodeRow(b, &lib))
		require.Equal(t, *in, got)
		require.Equal(t, lib, got)
		theirs, err := encoding.Marshal(in)
		require.NoError(t, err)
		require.Len(t, b, 1+len(theirs), "as the library encodes it, but for the order in maps")
	}
	var in Inode
	for _, b := range [][]byte{nil, {2}, {1}, {1, 0xa1}, {1, 0xa1, 1, 0x61}, {1, 0xbf}, {1, 0xa0, 0}} {
		require.ErrorIs(t, decodeInode(b, &in), ErrCorrupt)
	}
	require.NoError(t, decodeInode([]byte{1, 0xa1, 0x18, 99, 0x82, 1, 0xa1, 1, 2}, &in), "a key of a later version")
}

func TestEncodeSmallRows(t *testing.T) {
	for _, row := range []any{entryRow{}, entryRow{Ino: 1 << 50, Kind: Dir}, handleRow{}, handleRow{Ino: 24}, handleRow{Ino: 300, Version: true}, handleRow{Orphan: "PARENTAA"}} {
		theirs, err := encoding.Marshal(row)
		require.NoError(t, err)
		ours, err := encodeRow(row)
		require.NoError(t, err)
		require.Equal(t, theirs, ours[1:])
	}
}

func FuzzDecodeInode(f *testing.F) {
	b, err := encodeRow(fullInode())
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte{1, 0xa1, 0x18, 99, 0x82, 1, 0xa1, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		var in Inode
		if decodeInode(b, &in) != nil {
			return
		}
		again, err := encodeRow(&in)
		require.NoError(t, err)
		theirs, err := encoding.Marshal(&in)
		require.NoError(t, err)
		require.Len(t, again, 1+len(theirs), "as the library encodes it, but for the order in maps")
		var got, lib Inode
		require.NoError(t, decodeInode(again, &got))
		require.NoError(t, decodeRow(again, &lib))
		require.Equal(t, len(lib.Name), len(got.Name))
		require.Equal(t, normal(lib), normal(got))
	})
}

// normal evens out what the two decoders may do differently: empty slices and maps.
func normal(in Inode) Inode {
	if len(in.Base.Key) == 0 {
		in.Base.Key = nil
	}
	if len(in.Xattrs) == 0 {
		in.Xattrs = nil
	}
	if in.Cloud != nil {
		if len(in.Cloud.Key) == 0 {
			in.Cloud.Key = nil
		}
		if len(in.Cloud.Attrs) == 0 {
			in.Cloud.Attrs = nil
		}
		for n, v := range in.Cloud.Attrs {
			if len(v) == 0 {
				in.Cloud.Attrs[n] = nil
			}
		}
	}
	return in
}
