package paths

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReal(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	require.NoError(t, os.Symlink("folder", filepath.Join(dir, "link")))
	t.Chdir(dir)
	for path, want := range map[string]string{
		".": dir, "folder": dir + "/folder", "link": dir + "/folder", "link/none/deep": dir + "/folder/none/deep",
		"link/../link": dir + "/folder", dir + "/link/": dir + "/folder", "none": dir + "/none", "/": "/",
	} {
		got, err := Real(path)
		require.NoError(t, err, path)
		require.Equal(t, want, got, path)
	}
}
