package integration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// A state that lost a part is refused in one sentence, and nothing new is begun over what is pending in it.
func TestDamagedStateIsRefused(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	p.Mount()
	p.Shell("echo text >f")
	p.Run("unmount", "--no-wait", p.Point)
	for _, lost := range []string{"state.key", "tree/MANIFEST", "tree/KEYREGISTRY"} {
		path := one(t, filepath.Join(p.Dir, "*", "*", "*", lost), filepath.Join(p.Dir, "*", "*", "*", "*", lost))
		aside := path + ".aside"
		require.NoError(t, os.Rename(path, aside))
		said := refused(t, p, 7, "", "mount", p.Point)
		require.Contains(t, said, "missing", lost)
		require.NoFileExists(t, path)
		require.NoError(t, os.Rename(aside, path))
	}
	p.Mount()
	p.Run("flush")
	p.Shell("grep -q text f")
}

// What is pinned is no reason to refuse a mount: damaged, it is put aside and told of once.
func TestDamagedPinsRefuseNoMount(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	state := filepath.Dir(one(t, filepath.Join(p.Dir, "state", "*", "*", "session.json")))
	require.NoError(t, os.WriteFile(filepath.Join(state, "pins.json"), []byte("{"), 0o600))
	p.Mount()
	require.Contains(t, p.Run("status"), "nothing is pinned now")
	p.Shell("echo text >f")
	p.Run("pin", filepath.Join(p.Point, "f"))
	p.Run("unmount", p.Point)
	p.Mount()
	require.NotContains(t, p.Run("status"), "nothing is pinned now")
	awaitPinned(t, p, "/f", "1")
	p.Run("unmount", p.Point)
	one(t, filepath.Join(state, "pins.json.damaged-*"))
}

// one finds the one file that a pattern matches.
func one(t *testing.T, patterns ...string) string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		all = append(all, found...)
	}
	require.Len(t, all, 1, "%v", patterns)
	return all[0]
}
