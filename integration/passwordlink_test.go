package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
)

// TestLinksWithAPassword: one is made, and opens by get, import and mount with the password alone.
func TestLinksWithAPassword(t *testing.T) {
	p, _ := mountedProgram(t)
	p.Shell("mkdir folder && echo below >folder/f && echo text >file")
	secret := filepath.Join(p.Dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("open sesame\n"), 0o600))
	link := strings.TrimSpace(p.Run("link", "--password-file", secret, filepath.Join(p.Point, "file")))
	require.True(t, megacrypto.IsSealedLink(link), link)
	folder := readJSON[map[string]string](t, p.Run("link", "--json", "--password-file", secret, filepath.Join(p.Point, "folder")))["link"]
	opened, err := megacrypto.UnsealLink(folder, "open sesame")
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(p.Run("link", filepath.Join(p.Point, "folder"))), opened.String())

	down := mkdir(t, p, "down")
	p.Run("get", "--password-file", secret, link, down)
	text, err := os.ReadFile(filepath.Join(down, "file"))
	require.NoError(t, err)
	require.Equal(t, "text\n", string(text))
	_, errs, status := p.Try("open sesame\n", "import", "--password-file", "-", folder, filepath.Join(p.Point, "copy"))
	require.Zero(t, status, errs)
	require.Equal(t, "below\n", p.Shell("cat copy/f"))
	other := mkdir(t, p, "other")
	p.Run("mount", "--password-file", secret, folder, other)
	text, err = os.ReadFile(filepath.Join(other, "f"))
	require.NoError(t, err)
	require.Equal(t, "below\n", string(text))
	p.Run("unmount", other)

	require.Contains(t, refused(t, p, 3, "wrong\n", "get", "--password-file", "-", link, down), "not the one of this link")
	require.Contains(t, refused(t, p, 2, "", "get", link, down), "--password-file")
	require.Contains(t, refused(t, p, 2, "", "get", "--password-file", secret, link[:len(link)-9], down), "not whole")
	require.NoError(t, os.Chmod(secret, 0o644))
	require.Contains(t, refused(t, p, 1, "", "link", "--password-file", secret, filepath.Join(p.Point, "file")), "chmod 600")
	tt := newTerminal(p, "get", link, filepath.Join(down, "typed"))
	tt.types("Password of the link: ", "open sesame\n")
	require.Zero(t, tt.ends(), tt.text())
	require.FileExists(t, filepath.Join(down, "typed"))
}
