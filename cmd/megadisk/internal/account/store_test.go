package account

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zalando/go-keyring"

	"megadisk/megaclient"
)

func session(mail, user string) megaclient.Session {
	return megaclient.Session{SID: "sid-" + user, User: megaclient.UserHandle(user), Email: mail}
}

func stores(t *testing.T) map[string]Store {
	keyring.MockInit()
	return map[string]Store{
		"keyring": {Dir: t.TempDir(), Host: "h"},
		"file":    {Dir: t.TempDir(), Host: "h", Keyring: File},
	}
}

func TestSaveLoadForget(t *testing.T) {
	for name, st := range stores(t) {
		t.Run(name, func(t *testing.T) {
			_, err := st.Load(context.Background(), "")
			require.ErrorIs(t, err, ErrNone)

			inFile, err := st.Save(session("Anna@example.com", "AAAAAAAAAAA"))
			require.NoError(t, err)
			require.Equal(t, name == "file", inFile)
			_, err = st.Save(session("ben@example.com", "BBBBBBBBBBB"))
			require.NoError(t, err)

			for who, want := range map[string]string{"": "sid-BBBBBBBBBBB", "anna@EXAMPLE.com": "sid-AAAAAAAAAAA", "AAAAAAAAAAA": "sid-AAAAAAAAAAA"} {
				got, err := st.Load(context.Background(), who)
				require.NoError(t, err, who)
				require.Equal(t, want, got.SID, who)
			}
			_, err = st.Load(context.Background(), "carl@example.com")
			require.ErrorIs(t, err, ErrNone)

			require.NoError(t, st.Forget(session("ben@example.com", "BBBBBBBBBBB")))
			got, err := st.Load(context.Background(), "")
			require.NoError(t, err)
			require.Equal(t, "sid-AAAAAAAAAAA", got.SID, "another account becomes the default")
			_, err = st.Load(context.Background(), "ben@example.com")
			require.ErrorIs(t, err, ErrNone)
		})
	}
}

// Logins at the same moment, and the waits after them, leave none out.
func TestLoginsAtOnce(t *testing.T) {
	st := Store{Dir: t.TempDir(), Host: "h", Keyring: File}
	var all []string
	var logins sync.WaitGroup
	for i := range 16 {
		mail := fmt.Sprintf("%02d@example.com", i)
		all = append(all, mail)
		logins.Go(func() {
			_, err := st.Save(session(mail, fmt.Sprintf("%011d", i)))
			assert.NoError(t, err)
			assert.NoError(t, st.LoginRefused(mail, time.Now()))
		})
	}
	logins.Wait()
	require.Equal(t, all, st.Emails())
	require.Len(t, st.waits(), len(all))
}

// A keyring that doesn't let go of a session is told of, when all else is forgotten.
func TestKeyringThatKeepsASession(t *testing.T) {
	keyring.MockInit()
	st := Store{Dir: t.TempDir(), Host: "h"}
	_, err := st.Save(session("anna@example.com", "AAAAAAAAAAA"))
	require.NoError(t, err)
	broken := errors.New("it is locked")
	keyring.MockInitWithError(broken)
	require.ErrorIs(t, st.Forget(session("anna@example.com", "AAAAAAAAAAA")), broken)
	_, err = st.Load(context.Background(), "")
	require.ErrorIs(t, err, ErrNone)
}

// What a login left that was killed while it wrote may hold a session: it goes with the next one, and with the logout.
func TestLeftoversOfALoginThatWasKilled(t *testing.T) {
	for name, st := range stores(t) {
		t.Run(name, func(t *testing.T) {
			anna := session("anna@example.com", "AAAAAAAAAAA")
			_, err := st.Save(anna)
			require.NoError(t, err)
			file := filepath.Join(st.Dir, string(anna.User), sessionFile)
			kept, err := os.ReadDir(filepath.Dir(file))
			require.NoError(t, err)
			for end, left := range map[string]int{"login": len(kept), "logout": 0} {
				require.NoError(t, os.WriteFile(file+".new", []byte("half of it"), 0o600))
				if end == "login" {
					_, err = st.Save(anna)
				} else {
					err = st.Forget(anna)
				}
				require.NoError(t, err)
				now, err := os.ReadDir(filepath.Dir(file))
				require.NoError(t, err)
				require.Len(t, now, left, "after the %s", end)
			}
		})
	}
}

func TestNoKeyringFallsBackToPrivateFile(t *testing.T) {
	keyring.MockInitWithError(errors.New("no secret service"))
	st := Store{Dir: t.TempDir(), Host: "h"}
	inFile, err := st.Save(session("a@example.com", "AAAAAAAAAAA"))
	require.NoError(t, err)
	require.True(t, inFile)
	info, err := os.Stat(filepath.Join(st.Dir, "AAAAAAAAAAA", sessionFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	got, err := st.Load(context.Background(), "a@example.com")
	require.NoError(t, err)
	require.Equal(t, "sid-AAAAAAAAAAA", got.SID)
}

func TestDamagedIndexIsSaid(t *testing.T) {
	st := Store{Dir: t.TempDir(), Host: "h", Keyring: File}
	require.NoError(t, os.WriteFile(filepath.Join(st.Dir, indexFile), []byte("{"), 0o600))
	_, err := st.Load(context.Background(), "")
	require.ErrorContains(t, err, "log in again")
}
