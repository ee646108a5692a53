package account

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/zalando/go-keyring"

	"megadisk/megaclient"
)

func TestKeyringThatIsLocked(t *testing.T) {
	keyring.MockInit()
	st := Store{Dir: t.TempDir(), Host: "host", Keyring: Auto}
	s := megaclient.Session{SID: "sid", User: "abcdefghijk", Email: "a@b.c"}
	inFile, err := st.Save(s)
	require.NoError(t, err)
	require.False(t, inFile)
	got, err := st.Load(context.Background(), "a@b.c")
	require.NoError(t, err)
	require.Equal(t, s, got)
	require.NoError(t, filepath.WalkDir(st.Dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			text, _ := os.ReadFile(path)
			require.False(t, strings.Contains(string(text), "sid"), "%s holds the secret", path)
		}
		return err
	}))

	keyring.MockInitWithError(errors.New("locked"))
	for _, kind := range []Keyring{Auto, Fail} {
		st.Keyring = kind
		_, err := st.Load(context.Background(), "a@b.c")
		require.ErrorContains(t, err, "unlock it", kind)
	}
	st.Keyring = Wait
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = st.Load(ctx, "a@b.c")
	require.ErrorIs(t, err, context.DeadlineExceeded, "it waits for as long as it may")
	st.Keyring = File
	_, err = st.Load(context.Background(), "a@b.c")
	require.ErrorIs(t, err, ErrNone, "no keyring is asked")
}
