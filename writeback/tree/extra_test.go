package tree

import (
	"encoding/base64"
	"maps"
	"strings"
	"testing"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func extraOf(t testing.TB, fields map[uint64]any, format byte) string {
	raw, err := extraEncoding.Marshal(fields)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(append([]byte{format}, raw...))
}

// The attribute as it is written today, for ever.
func TestExtraSample(t *testing.T) {
	const sample = "AaQBGQHtAgEDGxEiEPR96YEVBKJBYUExQWJA"
	in := &Inode{Kind: File, Mode: 0o755, HasMode: true, Link: true, Exact: true, Mtime: 1234567890123456789, Xattrs: map[string]string{"a": "1", "b": ""}}
	a := attrs("x", 1234567890)
	in.StoreExtra(a)
	text, _ := a.String(ExtraName)
	require.Equal(t, sample, text)
	x := ParseExtra(a)
	require.Equal(t, Extra{HasMode: true, Mode: 0o755, Link: true, HasMtime: true, Mtime: 1234567890123456789, Xattrs: in.Xattrs}, x)
	require.Zero(t, in.Differs(a))
}

func TestExtraUnused(t *testing.T) {
	a := attrs("x", 5)
	in := &Inode{Kind: File, Mtime: 5e9 + 1, Mode: 0o600, HasMode: true, ModeLocal: true}
	in.StoreExtra(a)
	require.Equal(t, attrs("x", 5), a, "nothing is written for what no program asked for")
	require.Zero(t, in.Differs(a))
	in.Exact, in.Mtime = true, 5e9
	in.StoreExtra(a)
	require.Equal(t, attrs("x", 5), a, "a whole second needs no second place")
}

func TestExtraDiffers(t *testing.T) {
	base := &Inode{Kind: File, Mode: 0o755, HasMode: true, Exact: true, Mtime: 5e9 + 1, Xattrs: map[string]string{"a": "1"}}
	a := attrs("x", 5)
	base.StoreExtra(a)
	for want, change := range map[Own]func(*Inode){
		OwnMode:              func(in *Inode) { in.Mode = 0o700 },
		OwnXattrs:            func(in *Inode) { in.Xattrs = nil },
		OwnLink:              func(in *Inode) { in.Link = true },
		OwnMtime:             func(in *Inode) { in.Mtime++ },
		OwnMtime | OwnXattrs: func(in *Inode) { in.Mtime += 1e9; in.Xattrs = map[string]string{"a": "2"} },
	} {
		in := base.Clone()
		change(&in)
		require.Equal(t, want, in.Differs(a))
		b := a.Clone()
		b.SetString("c", megacrypto.Fingerprint{Mtime: seconds(in.Mtime)}.String())
		in.StoreExtra(b)
		require.Zero(t, in.Differs(b))
	}
	require.Zero(t, base.Differs(nil), "what can't be read can't differ")
}

// What another version or somebody else put there is kept, or left alone.
func TestExtraOfOthers(t *testing.T) {
	in := &Inode{Kind: File, Mtime: 5e9, Mode: 0o711, HasMode: true}
	a := attrs("x", 5)
	a.SetString(ExtraName, extraOf(t, map[uint64]any{1: 0o644, 9: []string{"future"}}, 1))
	in.StoreExtra(a)
	text, _ := a.String(ExtraName)
	require.Equal(t, extraOf(t, map[uint64]any{1: 0o711, 9: []string{"future"}}, 1), text)

	newer := extraOf(t, map[uint64]any{1: "another meaning"}, 2)
	a.SetString(ExtraName, newer)
	in.StoreExtra(a)
	text, _ = a.String(ExtraName)
	require.Equal(t, newer, text)
	require.Zero(t, in.Differs(a), "it can't be changed, so nothing is to be sent for ever")

	for _, bad := range []string{"", "****", "AQ", "AaQ", extraOf(t, map[uint64]any{1: "x", 2: -1, 3: "y", 4: 7}, 1), extraOf(t, nil, 0)} {
		a.SetString(ExtraName, bad)
		require.Equal(t, Extra{}, ParseExtra(a), bad)
	}
	a.SetString(ExtraName, extraOf(t, map[uint64]any{1: 0o104777, 4: map[string]string{"mega.handle": "x", "": "x", "a\x00b": "x", strings.Repeat("n", 300): "x"}}, 1))
	require.Equal(t, Extra{HasMode: true, Mode: 0o777}, ParseExtra(a), "no set-id bits, and no names that programs can't have")
}

func TestExtraRoom(t *testing.T) {
	in := &Inode{Kind: File, Xattrs: map[string]string{"a": strings.Repeat("x", MaxXattrs-1)}}
	require.True(t, in.FitsExtra())
	in.Xattrs = map[string]string{"a": strings.Repeat("x", MaxXattrs)}
	require.False(t, in.FitsExtra())
	full := attrs("x", 5)
	full.SetString("des", strings.Repeat("y", 60<<10))
	in.Cloud, in.Xattrs = &Cloud{Attrs: full}, map[string]string{"a": strings.Repeat("x", 3000)}
	require.False(t, in.FitsExtra(), "somebody else's attributes need room too")
}

func TestExtraRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := &Inode{
			Kind: rapid.SampledFrom([]Kind{File, Dir}).Draw(t, "kind"), Mode: rapid.Uint32Range(0, 0o777).Draw(t, "mode"),
			HasMode: rapid.Bool().Draw(t, "has mode"), ModeLocal: rapid.Bool().Draw(t, "local"), Exact: rapid.Bool().Draw(t, "exact"),
			Link: rapid.Bool().Draw(t, "link"), Mtime: rapid.Int64Range(-1<<60, 1<<60).Draw(t, "mtime"),
			Xattrs: rapid.MapOfN(rapid.StringN(1, 10, 20), rapid.String(), 0, 3).Draw(t, "xattrs"),
		}
		maps.DeleteFunc(in.Xattrs, func(name, _ string) bool { return !ValidXattr(name) })
		a := attrs("x", seconds(in.Mtime))
		in.StoreExtra(a)
		in.Link = in.Link && in.Kind == File
		require.Zero(t, in.Differs(a))
		again := a.Clone()
		in.StoreExtra(again)
		require.Equal(t, a, again, "deterministic")
	})
}

func FuzzParseExtra(f *testing.F) {
	f.Add([]byte("\x01\xa1\x01\x19\x01\xed"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a := attrs("x", 5)
		a.SetString(ExtraName, base64.RawURLEncoding.EncodeToString(raw))
		x := ParseExtra(a)
		x.store(a)
		require.Equal(t, x, ParseExtra(a))
	})
}

func withExtra(in *Inode, n *megaclient.Node) *megaclient.Node {
	n.Attrs = n.Attrs.Clone()
	in.StoreExtra(n.Attrs)
	return n
}

// The cloud's attributes are shown, but for those that were changed here, one by one.
func TestAttributesFollowTheCloud(t *testing.T) {
	h := newHouse(t)
	theirs := &Inode{Kind: File, Mode: 0o700, HasMode: true, Xattrs: map[string]string{"a": "1"}}
	h.apply(withExtra(theirs, file("FILEAAAA", rootH, "f")))
	in := h.at("/f")
	require.Equal(t, uint32(0o700), in.Mode)
	require.True(t, in.HasMode)
	require.Equal(t, "1", in.Xattrs["a"])

	h.update(func(tx *Tx) error {
		row, err := tx.Get(in.Ino)
		require.NoError(t, err)
		row.Mode = 0o711
		row.Claim(OwnMode)
		return tx.Put(&row)
	})
	theirs.Mode, theirs.Xattrs = 0o750, map[string]string{"b": "2"}
	h.apply(withExtra(theirs, file("FILEAAAA", rootH, "f")))
	in = h.at("/f")
	require.Equal(t, uint32(0o711), in.Mode, "ours stays")
	require.Equal(t, map[string]string{"b": "2"}, in.Xattrs, "theirs is followed")
	require.Equal(t, OwnMode, in.Differs(in.Cloud.Attrs))

	h.pend(in.Ino, 0, func(in *Inode) { in.Pending = 0 })
	h.apply(file("FILEAAAA", rootH, "f"))
	in = h.at("/f")
	require.False(t, in.HasMode)
	require.Empty(t, in.Xattrs)
	require.Zero(t, in.Own)
	h.check()
}

// A folder made here and in the cloud at once is one: what a program set here is sent.
func TestMergedFolderKeepsWhatWasSet(t *testing.T) {
	h := newHouse(t)
	d := h.create(DriveIno, "d", Dir)
	h.update(func(tx *Tx) error {
		row, err := tx.Get(d)
		require.NoError(t, err)
		row.Mode, row.HasMode = 0o700, true
		return tx.Put(&row)
	})
	h.apply(folder("FOLDERAA", rootH, "d"))
	in := h.at("/d")
	require.Equal(t, uint32(0o700), in.Mode)
	require.Equal(t, PendingAttrs, in.Pending)
	require.Equal(t, OwnMode, in.Own)
	h.check()
}
