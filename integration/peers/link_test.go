package peers

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// TestLinksOfMegajsAreMounted: links that megajs has made, to a folder and to a file of its own, are mounted by the
// binary without an account.
func TestLinksOfMegajsAreMounted(t *testing.T) {
	needs.FUSE(t)
	megajs(t)
	p, account := program.WithAccount(t)
	w := &world{T: t, server: p.Server, account: account}
	js := w.enter(account, program.Password)
	from := filepath.Join(p.Dir, "content")
	require.NoError(t, os.WriteFile(from, []byte("written by megajs"), 0o600))
	js.do("mkdir", args{"path": "", "name": "shared"}, nil)
	js.do("put", args{"path": "shared", "name": "file", "from": from}, nil)
	for path, name := range map[string]string{"shared": "file", "shared/file": "file"} {
		var link struct{ URL string }
		js.do("link", args{"path": path}, &link)
		p.Run("mount", link.URL, p.Point)
		require.Equal(t, "written by megajs", p.Shell("cat "+name), path)
		p.Run("unmount", p.Point)
	}
}
