package durable

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// files lists a folder.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A file is replaced whole, for its owner alone, and nothing is left beside it, also of a writer that was killed.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	require.NoError(t, os.WriteFile(path, []byte("the old one"), 0o644))
	require.NoError(t, os.WriteFile(path+suffix, []byte("longer than the new one, and not whole"), 0o600))
	require.NoError(t, WriteFile(path, []byte("the new one")))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "the new one", string(content))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Equal(t, []string{"list"}, files(t, dir))
}

func TestWhatCantBeReplacedStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "in it"), 0o700))
	require.Error(t, WriteFile(path, []byte("the new one")))
	require.Equal(t, []string{"list"}, files(t, dir))
	require.DirExists(t, filepath.Join(path, "in it"))
}

// Of several that make it at once one does, and the others leave it as it is.
func TestCreateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	require.NoError(t, CreateFile(path, []byte("the first")))
	require.ErrorIs(t, CreateFile(path, []byte("the second")), os.ErrExist)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "the first", string(content))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Equal(t, []string{"key"}, files(t, dir))
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	for _, left := range []string{path, path + suffix} {
		require.NoError(t, os.WriteFile(left, []byte("secret"), 0o600))
		require.NoError(t, Remove(path))
		require.Empty(t, files(t, dir))
	}
	require.NoError(t, Remove(path), "there is none")
}
