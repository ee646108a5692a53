package writeback

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// attrsMatrix are the rows of the matrix about attributes: each field that only one side has set is as that side has
// set it, whoever was first, whoever has heard what.
var attrsMatrix = []matrixRow{
	{name: "attributes, attributes", before: func(o there) { o.write("a", "A") },
		here:  func(w world) { w.setXattr("a", "colour", "red") },
		there: func(o there) { o.setAttr("a", "lbl", "3") },
		want:  map[string]string{"a": "A"},
		check: func(w world, o there, late bool) { o.say("a", "lbl", "3"); o.shows(w, "a", "red") }},
	{name: "attributes, attribute taken away", before: func(o there) { o.write("a", "A"); o.setAttr("a", "lbl", "3") },
		here:  func(w world) { w.setXattr("a", "colour", "red") },
		there: func(o there) { o.setAttr("a", "lbl", "") },
		want:  map[string]string{"a": "A"},
		check: func(w world, o there, late bool) { o.say("a", "lbl", ""); o.shows(w, "a", "red") }},
	{name: "attributes, attributes twice", before: func(o there) { o.write("a", "A") },
		here:  func(w world) { w.setXattr("a", "colour", "red") },
		there: func(o there) { o.setAttr("a", "lbl", "3"); o.setAttr("a", "fav", "1"); o.setAttr("a", "lbl", "") },
		want:  map[string]string{"a": "A"},
		check: func(w world, o there, late bool) {
			o.say("a", "lbl", "")
			o.say("a", "fav", "1")
			o.shows(w, "a", "red")
		}},
	{name: "attributes, those of programs", before: func(o there) { o.write("a", "A") },
		here:  func(w world) { w.setXattr("a", "colour", "red") },
		there: func(o there) { o.program("a", func(in *tree.Inode) { in.HasMode, in.Mode = true, 0o640 }) },
		want:  map[string]string{"a": "A"},
		check: func(w world, o there, late bool) {
			o.shows(w, "a", "red")
			require.Equal(w, uint32(0o640), w.stat("a").Mode)
			require.Equal(w, uint32(0o640), w.extra("a").Mode)
		}},
	{name: "attributes, the same one", before: func(o there) { o.write("a", "A") },
		here: func(w world) { w.setXattr("a", "colour", "red") },
		there: func(o there) {
			o.program("a", func(in *tree.Inode) { in.Xattrs = map[string]string{"colour": "blue"} })
		},
		want:  map[string]string{"a": "A"},
		check: func(w world, o there, late bool) { o.shows(w, "a", "red") }},
	{name: "attributes, time", before: func(o there) { o.write("a", "A") },
		here: func(w world) { w.setXattr("a", "colour", "red") },
		there: func(o there) {
			f, err := megacrypto.ParseFingerprint(attrString(o.account.Attrs(o.handle("a")), "c"))
			require.NoError(o, err)
			f.Mtime = 77
			o.setAttr("a", "c", f.String())
		},
		want: map[string]string{"a": "A"},
		check: func(w world, o there, late bool) {
			o.shows(w, "a", "red")
			require.EqualValues(w, 77e9, w.stat("a").Mtime)
			require.Equal(w, time.Unix(77, 0), w.account.Tree()["a"].Mtime)
		}},
	{name: "attributes, renamed", before: func(o there) { o.write("a", "A") },
		here: func(w world) { w.setXattr("a", "colour", "red") }, there: func(o there) { o.rename("a", "b") },
		want:  map[string]string{"b": "A"},
		check: func(w world, o there, late bool) { o.shows(w, "b", "red") }},
	{name: "attributes of a folder, attributes", before: func(o there) { o.mkdir("d") },
		here:  func(w world) { w.chmod("d", 0o700) },
		there: func(o there) { o.setAttr("d", "lbl", "3") },
		want:  map[string]string{"d": "/"},
		check: func(w world, o there, late bool) {
			o.say("d", "lbl", "3")
			require.Equal(w, uint32(0o700), w.extra("d").Mode)
		}},
	{name: "renamed, attributes", before: func(o there) { o.write("a", "A") },
		here: func(w world) { w.rename("a", "b") }, there: func(o there) { o.setAttr("a", "lbl", "3") },
		want:  map[string]string{"b": "A"},
		check: func(w world, o there, late bool) { o.say("b", "lbl", "3") }},
	{name: "modified, attributes", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.write("a", "new") }, there: func(o there) { o.setAttr("a", "lbl", "3") },
		want:  map[string]string{"a": "new"},
		check: func(w world, o there, late bool) { o.say("a", "lbl", "3") }},
	{name: "modified, renamed", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.write("a", "new") }, there: func(o there) { o.rename("a", "b") },
		want: map[string]string{"b": "new"}},
	{name: "replaced by a rename, attributes", before: func(o there) { o.write("a", "old") },
		here: func(w world) {
			w.write("tmp", "new")
			w.setXattr("tmp", "colour", "red")
			w.rename("tmp", "a")
		},
		there: func(o there) { o.setAttr("a", "fav", "1") },
		want:  map[string]string{"a": "new"},
		check: func(w world, o there, late bool) { o.say("a", "fav", "1"); o.shows(w, "a", "red") }},
}

// say requires what the cloud says of an attribute; "" is nothing.
func (o there) say(p, name, value string) {
	o.Helper()
	require.Equal(o, value, attrString(o.account.Attrs(o.handle(p)), name), name)
}

// shows requires the xattr in the mount and in the cloud.
func (o there) shows(w world, p, colour string) {
	o.Helper()
	require.Equal(o, map[string]string{"colour": colour}, w.stat(p).Xattrs)
	require.Equal(o, map[string]string{"colour": colour}, w.extra(p).Xattrs)
}

// program sets what a program sets in another mount.
func (o there) program(p string, fn func(*tree.Inode)) {
	o.Helper()
	in := &tree.Inode{Kind: tree.File}
	fn(in)
	attrs := o.account.Attrs(o.handle(p))
	in.StoreExtra(attrs)
	o.setAttr(p, tree.ExtraName, attrString(attrs, tree.ExtraName))
}

// In the ordinary run the first row goes through every order, and each other one through a third of them.
func TestMatrixOfAttributes(t *testing.T) {
	long := os.Getenv("MEGADISK_LONG") != ""
	for r, row := range attrsMatrix {
		t.Run(row.name, func(t *testing.T) {
			for i, order := range orders {
				if !long && r > 0 && (r+i)%3 != 0 {
					continue
				}
				t.Run(order.name, func(t *testing.T) {
					t.Parallel()
					row.run(t, order)
				})
			}
		})
	}
}

// Two mounts that set attributes of one file at the same time: in the end it has both, and one command of the mount
// that came last has helped the other. With somebody else before them each of the two owes something, and the one whose
// help comes last may have to help once more.
func TestTwoMountsCross(t *testing.T) {
	r := newRig(t, settleNever)
	other := newMount(t, r.ctx, r.server, settleNever)
	other.start()
	require.NoError(t, other.engine.Ready(r.ctx))
	r.write("a", "A")
	r.settled(other)
	for round := range 4 {
		mounts := []*mount{r.mount, other}
		mine, theirs := mounts[round%2], mounts[1-round%2]
		name := strconv.Itoa(round)
		before := r.sent("a")
		world{r}.hearing(false)
		most, label := 2+1, ""
		if round > 1 {
			most, label = 1+2+3, name
			r.account.SetAttr(r.account.Find("a"), "lbl", label)
		}
		mine.setXattr("a", "x"+name, "mine")
		require.NoError(t, mine.engine.Flush(r.ctx, 0))
		theirs.chmod("a", 0o600+uint32(round))
		require.NoError(t, theirs.engine.Flush(r.ctx, 0))
		world{r}.hearing(true)
		r.settled(other)

		attrs := r.account.Attrs(r.account.Find("a"))
		require.Equal(t, label, attrString(attrs, "lbl"))
		require.Equal(t, uint32(0o600+round), r.extra("a").Mode)
		require.Equal(t, "mine", r.extra("a").Xattrs["x"+name])
		for _, m := range mounts {
			require.Equal(t, uint32(0o600+round), m.stat("a").Mode)
			require.Equal(t, "mine", m.stat("a").Xattrs["x"+name])
			require.Zero(t, m.stat("a").Pending)
		}
		require.LessOrEqual(t, r.sent("a")-before, most)
	}
}
