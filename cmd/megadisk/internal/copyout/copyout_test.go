package copyout

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFilesAreWholeOrAbsent(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	broken := errors.New("broken")
	err := File(context.Background(), path, 0o600, time.Unix(7, 0), func(_ context.Context, w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return broken
	})
	require.ErrorIs(t, err, broken)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	whole := func(_ context.Context, w io.Writer) error { _, err := w.Write([]byte("whole")); return err }
	require.NoError(t, File(context.Background(), path, 0o640, time.Unix(7, 0), whole))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode())
	require.EqualValues(t, 7, info.ModTime().Unix())
	require.ErrorIs(t, File(context.Background(), path, 0o600, time.Now(), whole), ErrTaken)

	at, err := Place(dir, "b")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "b"), at)
	at, err = Place(filepath.Join(dir, "c"), "b")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "c"), at)
	_, err = Place(dir, "a")
	require.ErrorIs(t, err, ErrTaken)
	_, err = Place(filepath.Join(dir, "none", "c"), "a")
	require.ErrorIs(t, err, os.ErrNotExist)
}
