package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
)

// What is not yet in the cloud can be had as plain files: from the mount's process, without one, without a session,
// without a server, and without the database.
func TestExportPending(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	p.Mount()
	p.Run("pause")
	p.Shell("mkdir -p a/b; echo text >a/b/f; ln -s f a/b/link; echo other >'with space'; ls -d .Trash-$(id -u)") // as a desktop does, which makes one
	exported := func(name string, args ...string) {
		dir := filepath.Join(p.Dir, name)
		out := p.Run(append(append([]string{"export-pending"}, args...), dir)...)
		require.Contains(t, out, "3 files")
		require.Equal(t, "text\n", read(t, filepath.Join(dir, "a/b/f")))
		require.Equal(t, "other\n", read(t, filepath.Join(dir, "with space")))
	}
	exported("mounted")
	link, err := os.Readlink(filepath.Join(p.Dir, "mounted", "a/b/link"))
	require.NoError(t, err)
	require.Equal(t, "f", link)
	require.Contains(t, refused(t, p, 1, "", "export-pending", filepath.Join(p.Dir, "mounted")), "not empty")
	require.Contains(t, refused(t, p, 1, "", "export-pending", filepath.Join(p.Point, "here")), "another disk")

	p.Kill()
	exported("alone")
	client, err := megaclient.Login(t.Context(), megaclient.Config{APIURL: p.Server.URL()}, program.Email, program.Password, "")
	require.NoError(t, err)
	master := client.Session().MasterKey
	client.Close()
	key := megacrypto.EncodeBase64(master[:]) // as MEGA's web site shows it
	p.Server.Close()
	require.NoError(t, os.Remove(one(t, filepath.Join(p.Dir, "*", "*", "session.json"), filepath.Join(p.Dir, "*", "*", "*", "session.json"), filepath.Join(p.Dir, "*", "*", "*", "*", "session.json"))))
	refused(t, p, 3, "", "export-pending", filepath.Join(p.Dir, "no session"))
	out, errs, status := p.Try(key+"\n", "export-pending", "--recovery-key", filepath.Join(p.Dir, "recovered"))
	require.Zero(t, status, out+errs)
	require.Equal(t, "text\n", read(t, filepath.Join(p.Dir, "recovered", "a/b/f")))
	require.Contains(t, refused(t, p, 1, strings.Repeat("A", 22)+"\n", "export-pending", "--recovery-key", filepath.Join(p.Dir, "wrong")), "recovery key")
	refused(t, p, 2, "nonsense\n", "export-pending", "--recovery-key", filepath.Join(p.Dir, "wrong"))

	manifest := one(t, filepath.Join(p.Dir, "*", "*", "*", "tree", "MANIFEST"), filepath.Join(p.Dir, "*", "*", "*", "*", "tree", "MANIFEST"))
	require.NoError(t, os.WriteFile(manifest, []byte("damaged"), 0o600))
	out, errs, status = p.Try(key+"\n", "export-pending", "--recovery-key", filepath.Join(p.Dir, "salvaged"))
	require.Zero(t, status, out+errs)
	require.Contains(t, out, "saved without the database")
	require.Equal(t, "text\n", read(t, filepath.Join(p.Dir, "salvaged", "a/b/f")))
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(raw)
}
