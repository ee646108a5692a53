package writeback

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
)

func TestStateKeyIsMadeOnceAndUnwrapped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	master := megacrypto.NewKey()
	first, err := OpenStateKey(dir, master)
	require.NoError(t, err)
	again, err := OpenStateKey(dir, master)
	require.NoError(t, err)
	require.Equal(t, first, again)
	info, err := os.Stat(filepath.Join(dir, stateKeyFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestStateKeyOfAnotherMaster(t *testing.T) {
	dir := t.TempDir()
	_, err := OpenStateKey(dir, megacrypto.NewKey())
	require.NoError(t, err)
	_, err = OpenStateKey(dir, megacrypto.NewKey())
	require.ErrorIs(t, err, ErrWrongMaster)
}

func TestStateKeyOfNewerVersionAndGarbage(t *testing.T) {
	dir := t.TempDir()
	raw, err := cbor.Marshal(wrappedStateKey{Version: 99})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, stateKeyFile), raw, 0o600))
	_, err = OpenStateKey(dir, megacrypto.NewKey())
	var newer *NewerStateError
	require.ErrorAs(t, err, &newer)
	require.NoError(t, os.WriteFile(filepath.Join(dir, stateKeyFile), []byte("x"), 0o600))
	_, err = OpenStateKey(dir, megacrypto.NewKey())
	require.Error(t, err)
}

func TestDerivedKeysDiffer(t *testing.T) {
	key := [32]byte{1}
	require.NotEqual(t, subkey(key, labelTree), subkey(key, labelStaging))
	require.NotEqual(t, CacheKey(key), subkey(key, labelTree))
}
