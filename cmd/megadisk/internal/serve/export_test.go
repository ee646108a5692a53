package serve

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/writeback"
)

// A recovery key finds its state among others; of one whose key file is damaged it is said that it may be that one.
func TestStateOfARecoveryKey(t *testing.T) {
	accounts, key := t.TempDir(), megacrypto.NewKey()
	for user, master := range map[string]megacrypto.Key{"anna": key, "ben": megacrypto.NewKey()} {
		_, err := writeback.OpenStateKey(filepath.Join(accounts, user), master)
		require.NoError(t, err)
	}
	s, err := RecoverySession(accounts, key)
	require.NoError(t, err)
	require.EqualValues(t, "anna", s.User)

	require.NoError(t, os.WriteFile(filepath.Join(accounts, "anna", "state.key"), []byte("scribble"), 0o600))
	_, err = RecoverySession(accounts, key)
	require.ErrorIs(t, err, ErrNoSuchState)
	require.ErrorIs(t, err, writeback.ErrKeyDamaged)

	_, err = RecoverySession(filepath.Join(accounts, "ben"), key)
	require.Equal(t, ErrNoSuchState, err)
}
