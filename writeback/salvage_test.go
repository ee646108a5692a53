package writeback

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/staging"
)

// The database is lost or damaged: the segments alone give what was written.
func TestSalvage(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("dir")
	r.write("dir/file", "first")
	r.write("dir/file", "second")
	r.write("other", strings.Repeat("x", 300<<10))
	var key [32]byte
	r.engine.stateKey.CopyTo(key[:])
	r.stop()
	require.NoError(t, os.RemoveAll(filepath.Join(r.dir, treeDir)))
	dir := filepath.Join(t.TempDir(), "saved")
	x, err := Salvage(r.dir, key, dir, nil)
	require.NoError(t, err)
	require.Equal(t, 2, x.Salvaged)
	require.Empty(t, x.Incomplete)
	require.Equal(t, "second", exportedFile(t, dir, "dir/file"))
	require.Equal(t, strings.Repeat("x", 300<<10), exportedFile(t, dir, "other"))
	_, err = Salvage(r.dir, key, dir, nil)
	require.ErrorIs(t, err, ErrNotEmpty)

	// A new database begins: what was staged is put aside, and exported from there.
	r.start()
	require.Len(t, r.engine.Status().Orphaned, 1)
	dir = filepath.Join(t.TempDir(), "saved")
	x, err = r.engine.ExportPending(r.ctx, dir, nil)
	require.NoError(t, err)
	require.Equal(t, 2, x.Salvaged)
	found, err := filepath.Glob(filepath.Join(dir, "staging-orphaned-*", "dir", "file"))
	require.NoError(t, err)
	require.Len(t, found, 1)
}

// What was a file when it was written, and is a folder now, keeps nothing that lies in it from being salvaged.
func TestSalvageOfAFolderThatWasAFile(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("was", "a file")
	r.rename("was", "is")
	r.mkdir("was")
	r.write("was/below", "in a folder")
	r.write("zzz", "after")
	below := r.ino("was/below")
	var key [32]byte
	r.engine.stateKey.CopyTo(key[:])
	r.stop()
	require.NoError(t, os.RemoveAll(filepath.Join(r.dir, treeDir)))
	dir := t.TempDir()
	x, err := Salvage(r.dir, key, dir, nil)
	require.NoError(t, err)
	require.Equal(t, 3, x.Salvaged)
	require.Equal(t, "a file", exportedFile(t, dir, "was"))
	require.Equal(t, "in a folder", exportedFile(t, dir, fmt.Sprintf("below (%d)", below)))
	require.Equal(t, "after", exportedFile(t, dir, "zzz"))
}

// A record with a path that leads out of the folder doesn't.
func TestSalvageStaysInItsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "saved")
	x, err := newExporter(dir, nil)
	require.NoError(t, err)
	for _, path := range []string{"../../out", "/etc/passwd", "", "a/../../b", "."} {
		name := x.freeName("", ownerAt(path))
		require.True(t, filepath.IsLocal(name), "%q became %q", path, name)
	}
	require.NoError(t, x.finish())
}

func ownerAt(path string) staging.Owner { return staging.Owner{Ino: 7, Path: path} }
