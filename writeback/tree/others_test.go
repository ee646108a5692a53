package tree

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawAttrs draws attributes, with mdx or without.
func drawAttrs(t *rapid.T, what string) megacrypto.Attributes {
	a := megacrypto.Attributes{}
	for _, name := range []string{"n", "lbl", "fav", "c"} {
		if v := rapid.IntRange(0, 3).Draw(t, what+" "+name); v > 0 {
			a.SetString(name, fmt.Sprint(v))
		}
	}
	in := Inode{Kind: File, HasMode: rapid.Bool().Draw(t, what+" has mode"), Mode: rapid.Uint32Range(0, 2).Draw(t, what+" mode")}
	if v := rapid.IntRange(0, 2).Draw(t, what+" xattr"); v > 0 {
		in.Xattrs = map[string]string{"x": fmt.Sprint(v)}
	}
	in.StoreExtra(a)
	return a
}

// Each field that ours didn't set comes to be as theirs says, and each that ours set stays; the name too.
func TestOwedIsMergedFieldByField(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		base, ours, theirs := drawAttrs(rt, "base"), drawAttrs(rt, "ours"), drawAttrs(rt, "theirs")
		set := ChangedFields(base, ours)
		in := Inode{Pending: PendingAttrs, Own: OwnOthers, Others: LostFields(theirs, ours, set), Cloud: &Cloud{Attrs: ours}}
		want := fields(theirs)
		keep := append(slices.Clone(set), "n")
		for _, name := range keep {
			if v, there := fields(ours)[name]; there {
				want[name] = v
			} else {
				delete(want, name)
			}
		}
		require.Equal(rt, want, fields(in.CloudAttrs()))
		in.settleOthers(ours, in.CloudAttrs())
		require.Empty(rt, in.Others, "the cloud has it then")
	})
}

// What is owed ends when the cloud says something newer of it, when it is changed here, and when nothing is pending.
func TestOwedEnds(t *testing.T) {
	h := newHouse(t)
	h.apply(file("FILEAAAA", rootH, "f"))
	ino := h.at("/f").Ino
	theirs := h.get(ino).Cloud.Attrs.Clone()
	(&Inode{Kind: File, HasMode: true, Mode: 0o640, Xattrs: map[string]string{"a": "1"}}).StoreExtra(theirs)
	theirs.SetString("lbl", "3")
	theirs.SetString("fav", "1")
	owe := func() Inode {
		h.update(func(tx *Tx) error {
			return tx.Owe(ino, LostFields(theirs, h.get(ino).Cloud.Attrs, nil))
		})
		h.check()
		return h.get(ino)
	}
	names := func(in Inode) []string { return slices.Sorted(maps.Keys(in.Others)) }

	in := owe()
	require.Equal(t, []string{"fav", "lbl", "mdx/1", "mdx/4"}, names(in))
	require.Equal(t, uint32(0o640), in.Mode, "it is shown at once")
	require.Equal(t, OwnOthers, in.Own)

	h.update(func(tx *Tx) error { // a program's own
		in, err := tx.Get(ino)
		require.NoError(t, err)
		in.Mode = 0o600
		in.Claim(OwnMode)
		return tx.Put(&in)
	})
	require.Equal(t, []string{"fav", "lbl", "mdx/4"}, names(h.get(ino)))

	newer := file("FILEAAAA", rootH, "f")
	newer.Attrs.SetString("lbl", "5")
	h.apply(newer)
	require.Equal(t, []string{"fav", "mdx/4"}, names(h.get(ino)))
	in = h.get(ino)
	require.Equal(t, OwnOthers|OwnMode, in.Differs(newer.Attrs))

	h.update(func(tx *Tx) error { return tx.Owe(ino, nil) })
	require.Equal(t, OwnMode, h.get(ino).Own, "all is heard otherwise")
	owe()
	h.update(func(tx *Tx) error {
		in, err := tx.Get(ino)
		require.NoError(t, err)
		in.Pending = 0
		return tx.Put(&in)
	})
	require.Empty(t, h.get(ino).Others)
	h.check()
}

// More than a node holds is owed to nobody.
func TestOwedFits(t *testing.T) {
	h := newHouse(t)
	h.apply(file("FILEAAAA", rootH, "f"))
	ino := h.at("/f").Ino
	big := `"` + string(make([]byte, megacrypto.MaxAttributes)) + `"`
	require.NoError(t, h.Update(context.Background(), func(tx *Tx) error { return tx.Owe(ino, map[string]string{"lbl": big}) }))
	require.Zero(t, h.get(ino).Pending)
	h.check()
}
