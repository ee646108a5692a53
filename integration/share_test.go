package integration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// TestSharedFolder saves through a mount into a folder that is shared with a second account, and reads it there
// through that account's own mount; then the other way round.
func TestSharedFolder(t *testing.T) {
	p, anna := mountedProgram(t)
	ben := p.Server.AddAccount("ben@example.com", "another")
	p.Shell("mkdir shared && echo before >shared/before && mkdir shared/deep")
	p.Run("flush")
	anna.Share(handleOf(t, anna, "shared"), ben, 2)
	p.Shell("echo after >shared/after && echo deep >shared/deep/er && mkdir outside && echo moved >outside/f && mv outside shared/inside")
	p.Run("flush")

	other := program.New(t, p.Server)
	other.LoginAs("ben@example.com", "another")
	other.Run("mount", "/.mega/shares/shared", other.Point)
	for path, want := range map[string]string{"before": "before\n", "after": "after\n", "deep/er": "deep\n", "inside/f": "moved\n"} {
		require.Equal(t, want, string(readFile(t, other.Point, path)), path)
	}

	require.NoError(t, os.WriteFile(filepath.Join(other.Point, "from ben"), []byte("hello"), 0o644))
	other.Run("flush")
	requireEventuallyFile(t, filepath.Join(p.Point, "shared/from ben"), "hello")
	require.Equal(t, "hello", string(anna.ReadFile(handleOf(t, anna, "shared/from ben"))))
}

// TestReadOnlyShareRefusesAtOnce: what the tree shows as refused is refused before it is written.
func TestReadOnlyShareRefusesAtOnce(t *testing.T) {
	needs.FUSE(t)
	p, anna := program.WithAccount(t)
	ben := p.Server.AddAccount("ben@example.com", "another")
	folder := ben.Mkdir(ben.Root(), "lent")
	ben.PutFile(folder, "f", []byte("text"), megatestTime)
	ben.Share(folder, anna, 0)
	p.Login()
	p.Run("mount", "/.mega/shares/ben@example.com/lent", p.Point)
	require.Equal(t, "text", string(readFile(t, p.Point, "f")))
	require.ErrorIs(t, os.WriteFile(filepath.Join(p.Point, "new"), nil, 0o644), os.ErrPermission)
	require.ErrorIs(t, os.Remove(filepath.Join(p.Point, "f")), os.ErrPermission)
	require.ErrorIs(t, os.WriteFile(filepath.Join(p.Point, "f"), []byte("x"), 0o644), os.ErrPermission)
	require.Equal(t, "text", string(ben.ReadFile(ben.Find("lent/f"))))
}
