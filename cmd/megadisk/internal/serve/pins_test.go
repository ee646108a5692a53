package serve

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/cache"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// What is written down stays readable for every later version: this is how version 1 looks.
func TestPinsFile(t *testing.T) {
	state := t.TempDir()
	file := filepath.Join(state, "pins.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"version":1,"inodes":[17,42]}`), 0o600))
	s, err := openPins(nil, state)
	require.NoError(t, err)
	require.Equal(t, []tree.Ino{17, 42}, s.list())

	require.NoError(t, s.set(17, false))
	require.NoError(t, s.set(99, true))
	require.NoError(t, s.set(99, true))
	again, err := openPins(nil, state)
	require.NoError(t, err)
	require.Equal(t, []tree.Ino{42, 99}, again.list())

	for _, bad := range []string{`{"version":2,"inodes":[]}`, `{`, ``} {
		require.NoError(t, os.WriteFile(file, []byte(bad), 0o600))
		_, err = openPins(nil, state)
		require.ErrorContains(t, err, "pins.json")
	}
	none, err := openPins(nil, t.TempDir())
	require.NoError(t, err)
	require.Empty(t, none.list())
}

// Copies made by the server are one content under two handles: it stays as long as one of them is pinned.
func TestCopiesArePinnedTogether(t *testing.T) {
	s, err := openPins(nil, t.TempDir())
	require.NoError(t, err)
	key := megacrypto.NewFileKey()
	s.kept[key] = cache.File{Handle: "AAAAAAAA", Key: key}
	s.letGo(map[megacrypto.FileKey]cache.File{key: {Handle: "BBBBBBBB", Key: key}})
	require.Len(t, s.kept, 1)
}

func TestPlaceOfAPin(t *testing.T) {
	a, b := spot{1, "a"}, spot{1, "b"}
	p := place{}.see(a)
	require.Equal(t, a, p.see(a).at)
	p.gone = p.moved
	p = p.see(b)
	require.Equal(t, place{at: b, before: a, moved: p.moved}, p)
}
