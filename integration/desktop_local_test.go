package integration

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// TestFilesOfProgramsStayHere: locks and temporary files stay on this machine, and every command that ends something
// names them.
func TestFilesOfProgramsStayHere(t *testing.T) {
	p, account := mountedProgram(t)
	p.Shell("echo lock >'.~lock.a.odt#'; echo swap >.a.txt.swp; echo text >a.txt; echo x >draft.swp; mv draft.swp draft")
	p.Run("flush")
	require.Equal(t, []string{"a.txt", "draft"}, pathsOf(account))

	status := p.Run("status")
	require.Contains(t, status, "everything is in the cloud")
	require.Contains(t, status, "on this machine only, because of their names: 2 files\n    /.~lock.a.odt#\n    /.a.txt.swp\n")
	require.Contains(t, p.Run("unmount", p.Point), "/.a.txt.swp")
	require.Contains(t, p.Run("logout"), "/.~lock.a.odt#")

	p.Login()
	p.Run("mount", "-o", "local_names=*.odt:*.bak", p.Point)
	p.Run("flush")
	require.Equal(t, []string{".a.txt.swp", ".~lock.a.odt#", "a.txt", "draft"}, pathsOf(account), "what is here only depends on the option")
	p.Run("unmount", p.Point)
	_, errs, code := p.Try("", "mount", "-o", "local_names=[", p.Point)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--local-names")
}

// pathsOf lists what the server's drive holds.
func pathsOf(account *megatest.Account) []string { return slices.Sorted(maps.Keys(account.Tree())) }
