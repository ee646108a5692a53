package desktop

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// TestEmblems: Caja and Nemo, with their Python extensions, show what of a folder is here, pinned, waiting or in conflict,
// and pin from their menus. The pictures for docs/img are taken on the way.
func TestEmblems(t *testing.T) {
	images := picturesFolder(t)
	needs.FUSE(t)
	for _, manager := range []struct {
		line            []string
		python, picture string
	}{
		{[]string{"caja", "--sm-client-disable", "--no-desktop", "--browser"}, "python3-caja", "emblems.png"},
		{[]string{"nemo"}, "nemo-python", "emblems-nemo.png"},
	} {
		name := manager.line[0]
		t.Run(name, func(t *testing.T) {
			needs.Programs(t, "Xvfb", "dbus-daemon", name, "xdotool", "import")
			needs.File(t, "/usr/share/doc/"+manager.python)
			p, account := program.WithAccount(t)
			p.Login()
			p.Mount()
			states(t, p, account)
			s := newScreen(t, p)
			extensions := filepath.Join(p.Dir, "share", name+"-python", "extensions")
			require.NoError(t, os.MkdirAll(extensions, 0o755))
			code, err := os.ReadFile("../../packaging/filemanager/megadisk.py")
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(extensions, "megadisk.py"), code, 0o644))

			s.env = append(s.env, "XDG_RUNTIME_DIR="+p.Dir) // where the control socket is
			s.open(append(manager.line, filepath.Join(p.Point, "Work"))...)
			s.window("Work")
			s.keys("ctrl+1", "ctrl+0") // icons, of the usual size
			s.settle()
			s.keys("Home", "Menu")
			s.settle()
			s.keys("Up", "Up")
			s.settle()
			s.keys("Right")
			s.shoot(filepath.Join(images, manager.picture))
			s.keys("Return") // "Keep Here"
			s.until("the pinned file", func() bool { return state(t, filepath.Join(p.Point, "Work", "far.pdf")) == "pinned" })
		})
	}
}

// states makes a folder with a file in each state that lasts.
func states(t *testing.T, p *program.Program, account *megatest.Account) {
	t.Helper()
	work := account.Mkdir(account.Root(), "Work")
	for _, name := range []string{"far.pdf", "here.pdf", "offline.pdf", "half.mov"} {
		size := 200_000
		if name == "half.mov" {
			size = 24 << 20
		}
		account.PutFile(work, name, make([]byte, size), time.Unix(1700000000, 0))
	}
	dir := filepath.Join(p.Point, "Work")
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(dir, "half.mov")); return err == nil }, time.Minute, 10*time.Millisecond)
	p.Shell("cat Work/here.pdf >/dev/null; dd if=Work/half.mov of=/dev/null bs=4k count=1 skip=4096 status=none")
	p.Run("pin", filepath.Join(dir, "offline.pdf"))
	p.Run("pause")
	p.Shell("echo text >Work/new.txt; echo mine >'Work/plan (conflict 2026-01-02 host-AB12).txt'")
	for name, word := range map[string]string{"far.pdf": "cloud", "here.pdf": "cached", "half.mov": "partial", "offline.pdf": "pinned", "new.txt": "dirty"} {
		require.Equal(t, word, state(t, filepath.Join(dir, name)), name)
	}

}

// state is user.mega.state of a file.
func state(t *testing.T, path string) string {
	t.Helper()
	value := make([]byte, 100)
	n, err := unix.Getxattr(path, "user.mega.state", value)
	require.NoError(t, err)
	return string(value[:n])
}
