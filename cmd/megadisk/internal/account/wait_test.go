package account

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLoginsKeepTheirDistance(t *testing.T) {
	st := Store{Dir: t.TempDir(), Keyring: File}
	now := time.Now()
	require.NoError(t, st.MayLogin("a@b.c", now, false))

	for _, d := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		require.NoError(t, st.LoginRefused("A@b.c", now))
		require.Error(t, st.MayLogin("a@b.c", now.Add(d-time.Second), false))
		require.NoError(t, st.MayLogin("a@b.c", now.Add(d), false))
		require.NoError(t, st.MayLogin("a@b.c", now, true), "a person may correct a mistake at once")
	}
	for range 50 {
		require.NoError(t, st.LoginRefused("a@b.c", now))
	}
	require.NoError(t, st.MayLogin("a@b.c", now.Add(6*time.Hour), false))

	require.NoError(t, st.LoginPutOff("a@b.c", now, time.Hour))
	again := Store{Dir: st.Dir, Keyring: File} // after a restart
	for _, person := range []bool{true, false} {
		var early *WaitError
		require.ErrorAs(t, again.MayLogin("a@b.c", now.Add(time.Minute), person), &early, "the server's word counts for all")
		require.True(t, early.Until.Equal(now.Add(time.Hour)))
	}
	require.NoError(t, again.MayLogin("other@b.c", now, false))
	require.NoError(t, again.LoggedIn("a@b.c"))
	require.NoError(t, again.MayLogin("a@b.c", now, false))

	require.NoError(t, os.WriteFile(filepath.Join(st.Dir, waitsFile), []byte("{broken"), 0o600))
	require.NoError(t, st.MayLogin("a@b.c", now, false))
}
