package fs

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// plusEntry is how the kernel finds an entry in the answer to READDIRPLUS: its attributes, and a name of known length.
const plusEntry, plusName = 128, 24

// listPlus lists a folder as a program of that pid, and tells of each name whether it came with its attributes.
func listPlus(t *testing.T, b *bridge, pid uint32, dir tree.Ino) map[string]bool {
	t.Helper()
	var opened fuse.OpenOut
	header := fuse.InHeader{NodeId: b.nodeID(dir), Caller: fuse.Caller{Pid: pid}}
	require.Equal(t, fuse.OK, b.OpenDir(nil, &fuse.OpenIn{InHeader: header}, &opened))
	defer b.ReleaseDir(&fuse.ReleaseIn{InHeader: header, Fh: opened.Fh})
	buf := make([]byte, 32<<10)
	require.Equal(t, fuse.OK, b.ReadDirPlus(nil, &fuse.ReadIn{InHeader: header, Fh: opened.Fh}, fuse.NewDirEntryList(buf, 0)))
	with := map[string]bool{}
	for at := 0; at+plusEntry+plusName < len(buf); {
		n := int(binary.NativeEndian.Uint32(buf[at+plusEntry+16:]))
		if n == 0 {
			break
		}
		name := string(buf[at+plusEntry+plusName:][:n])
		with[name] = binary.NativeEndian.Uint64(buf[at:]) != 0
		at += (plusEntry + plusName + n + 7) &^ 7
	}
	return with
}

// TestWhoListsNamesOnly: a program that goes through folders and asks for no file's attributes gets none, but for the first
// folders; from the first file that it asks for on, it gets them. Folders always have them.
func TestWhoListsNamesOnly(t *testing.T) {
	f := newFake(t)
	var dirs []tree.Ino
	for i := range 8 {
		d, err := f.Mkdir(t.Context(), tree.DriveIno, fmt.Sprint("folder", i), 0o755)
		require.NoError(t, err)
		_, err = f.Mkdir(t.Context(), d.Ino, "folder", 0o755)
		require.NoError(t, err)
		f.put(d.Ino, "file", nil)
		dirs = append(dirs, d.Ino)
	}
	b := newBridge(f, f, Options{})
	b.ready.Store(true)
	lookUp := func(dir tree.Ino, name string) {
		var out fuse.EntryOut
		require.Equal(t, fuse.OK, b.Lookup(nil, &fuse.InHeader{NodeId: b.nodeID(dir)}, name, &out))
	}
	all, bare := map[string]bool{".": false, "..": false, "folder": true, "file": true}, map[string]bool{".": false, "..": false, "folder": true, "file": false}

	const names, sizes, other = 1, 2, 3
	for i, d := range dirs {
		want := bare
		if i < listedFirst {
			want = all
		}
		require.Equal(t, want, listPlus(t, b, names, d), "names, folder %d", i)
		lookUp(d, "folder")
		lookUp(d, "absent")
	}
	for i, d := range dirs {
		want := all
		if i == listedFirst {
			want = bare // here it is tried
		}
		require.Equal(t, want, listPlus(t, b, sizes, d), "sizes, folder %d", i)
		if i == listedFirst {
			lookUp(d, "file")
		}
	}
	require.Equal(t, bare, listPlus(t, b, names, dirs[0]), "the other one is still known")
	require.Equal(t, all, listPlus(t, b, other, dirs[0]))

	b.ready.Store(false)
	require.Equal(t, all, listPlus(t, b, names, dirs[0]), "while the first tree is still coming")
}

// TestListersAreForgotten: of programs and folders only the last ones are kept.
func TestListersAreForgotten(t *testing.T) {
	l := newListers()
	for i := range 4 * listersKept {
		for range listedFirst + 1 {
			l.list(uint32(i), tree.Ino(100+i))
		}
	}
	require.Equal(t, listersKept, l.who.Len())
	require.Equal(t, listersKept, l.bare.Len())
	require.False(t, l.list(0, 100), "as one that was never seen")
	require.True(t, l.list(4*listersKept-1, 100))
	l.look(100)
	require.False(t, l.list(4*listersKept-1, 101))
}
