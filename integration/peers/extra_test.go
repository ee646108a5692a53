package peers

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/program"
)

// What MEGA has no place for rides in an attribute that megajs doesn't know: it works with such nodes as with any
// other, reads a symbolic link as the small file that it is, and what it renames and moves keeps everything.
func TestMegajsKeepsWhatItDoesNotKnow(t *testing.T) {
	p, w := mounted(t)
	p.Shell(`
		mkdir folder; echo content >file; chmod 751 file folder; ln -s "else where" link
		touch -d "2009-02-13 23:31:30.123456789 UTC" file`)
	require.NoError(t, unix.Setxattr(filepath.Join(p.Point, "file"), "user.colour", []byte("red"), 0))
	p.Run("flush")
	js := w.enter(w.account, program.Password)
	js.see("file", "folder", "link")
	for name, want := range map[string]string{"file": "content\n", "link": "else where"} {
		got, err := js.get(name, true)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	js.do("rename", args{"path": "file", "name": "renamed"}, nil)
	js.do("move", args{"path": "renamed", "target": "folder"}, nil)
	js.do("rename", args{"path": "link", "name": "renamed link"}, nil)
	js.do("rename", args{"path": "folder", "name": "d"}, nil)

	path := filepath.Join(p.Point, "d", "renamed")
	awaitContent(t, path, []byte("content\n"))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o751), info.Mode())
	require.True(t, info.ModTime().Equal(time.Unix(1234567890, 123456789)), info.ModTime())
	value := make([]byte, 10)
	n, err := unix.Getxattr(path, "user.colour", value)
	require.NoError(t, err)
	require.Equal(t, "red", string(value[:n]))
	info, err = os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	require.Equal(t, os.ModeDir|0o751, info.Mode())
	target, err := os.Readlink(filepath.Join(p.Point, "renamed link"))
	require.NoError(t, err)
	require.Equal(t, "else where", target)
	p.Run("unmount", p.Point)
}
