package writeback

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// A state without its key isn't given a new one: what is pending in it would be unreadable for ever.
func TestMissingStateKeyIsNotReplaced(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a", "pending")
	r.stop()
	path := filepath.Join(r.dir, stateKeyFile)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))

	_, err = OpenStateKey(r.dir, r.session.MasterKey)
	require.ErrorIs(t, err, ErrKeyMissing)
	require.NoFileExists(t, path)
	require.True(t, HasState(r.dir))

	for name, damaged := range map[string][]byte{"empty": {}, "cut": raw[:len(raw)/2], "noise": []byte("\xff\x00noise")} {
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		_, err = OpenStateKey(r.dir, r.session.MasterKey)
		require.ErrorIs(t, err, ErrKeyDamaged, name)
	}
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	r.start()
	r.flush()
	require.Equal(t, "pending", r.cloud()["a"])
}

// The end of the database's log is damaged: it goes on from the last good record, and what was staged stays on the
// disk, also what no row names any more.
func TestDamagedJournalKeepsWhatWasStaged(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a", "first")
	killed := t.TempDir()
	require.NoError(t, os.CopyFS(killed, os.DirFS(r.dir))) // as kill -9 leaves it
	r.crash()
	r.dir = killed
	logs, err := filepath.Glob(filepath.Join(r.dir, treeDir, "*.mem"))
	require.NoError(t, err)
	require.NotEmpty(t, logs) // the first is in use, another made ahead
	raw, err := os.ReadFile(logs[0])
	require.NoError(t, err)
	copy(raw[len(raw)/100:], "noise far behind") // so that it isn't the entry that the crash tore
	require.NoError(t, os.WriteFile(logs[0], raw, 0o600))

	r.start()
	require.NotEmpty(t, r.engine.tree.Recovered())
	orphaned := r.engine.Status().Orphaned
	require.Len(t, orphaned, 1)
	kept, err := filepath.Glob(filepath.Join(orphaned[0].Dir, "*.seg"))
	require.NoError(t, err)
	require.NotEmpty(t, kept)
	require.Equal(t, "first", r.read("a"))
}

// The state is found whatever the path of its folder looks like.
func TestStateInAFolderThatLooksLikeAPattern(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a", "pending")
	var key [32]byte
	r.engine.stateKey.CopyTo(key[:])
	r.stop()
	at := filepath.Join(t.TempDir(), "disk [1]")
	require.NoError(t, os.Rename(r.dir, at))
	r.dir = at
	require.NoError(t, os.RemoveAll(filepath.Join(r.dir, treeDir)))
	r.start()
	require.Len(t, r.engine.Status().Orphaned, 1, "its database is gone, and what was staged is put aside")
	r.stop()
	x, err := Salvage(r.dir, key, filepath.Join(t.TempDir(), "saved"), nil)
	require.NoError(t, err)
	require.Equal(t, 1, x.Salvaged)
	require.NoError(t, os.Remove(filepath.Join(r.dir, stateKeyFile)))
	require.True(t, HasState(r.dir))
}

// A damaged table is refused by name.
func TestDamagedDatabaseIsRefused(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a", "pending")
	r.stop()
	require.NoError(t, os.Remove(filepath.Join(r.dir, treeDir, "MANIFEST")))
	key, err := OpenStateKey(r.dir, r.session.MasterKey)
	require.NoError(t, err)
	_, err = Open(r.ctx, Options{Dir: r.dir, StateKey: key, Client: &megaclient.Client{}})
	var damaged *tree.DamagedError
	require.ErrorAs(t, err, &damaged)
}
