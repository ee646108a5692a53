package serve

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
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

// What is damaged is put aside and told once, and nothing is pinned; a file of a newer version, or that can't be read, is refused
// and left alone.
func TestDamagedPins(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	for _, bad := range []string{``, `{`, `null`, `{"inodes":[17]}`, `{"version":1,"inodes":["x"]}`, strings.Repeat("\x00", 30)} {
		state := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(state, "pins.json"), []byte(bad), 0o600))
		p := &Process{o: Options{Log: log}}
		for range 2 {
			s, err := p.readPins(state)
			require.NoError(t, err, bad)
			require.Empty(t, s.list())
			require.Len(t, p.listNotices(), 1)
		}
		kept, err := filepath.Glob(filepath.Join(state, "pins.json.damaged-*"))
		require.NoError(t, err)
		require.Len(t, kept, 1)
		require.Contains(t, p.listNotices()[0], kept[0])
		content, err := os.ReadFile(kept[0])
		require.NoError(t, err)
		require.Equal(t, bad, string(content))
	}
	state := t.TempDir()
	file := filepath.Join(state, "pins.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"version":2,"inodes":[]}`), 0o600))
	_, err := new(Process).readPins(state)
	require.ErrorContains(t, err, "version 2")
	require.FileExists(t, file)
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o700))
	_, err = new(Process).readPins(state)
	require.Error(t, err)
	require.DirExists(t, file)
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
