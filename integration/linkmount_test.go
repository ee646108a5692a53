package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// linked makes an account with a folder and a file that have links; the program isn't logged in.
func linked(t *testing.T) (p *program.Program, a *megatest.Account, folder, file string) {
	t.Helper()
	needs.FUSE(t)
	p, a = program.WithAccount(t)
	dir := a.Mkdir(a.Root(), "shown")
	a.PutFile(dir, "text", []byte("of the folder"), megatestTime)
	a.PutFile(a.Mkdir(dir, "sub"), "deep", []byte("below"), megatestTime)
	return p, a, a.Export(dir), a.Export(a.PutFile(a.Root(), "single", []byte("of the file"), megatestTime))
}

func keyOf(link string) string { return link[strings.IndexByte(link, '#')+1:] }

// TestMountOfAFolderLink: without an account a link's folder is shown, read-only, follows its owner, and is there without
// the network after that; its key is nowhere to be seen.
func TestMountOfAFolderLink(t *testing.T) {
	p, a, link, _ := linked(t)
	p.Run("mount", link, p.Point)
	require.Equal(t, "of the folder", p.Shell("cat text"))
	require.Equal(t, "below", p.Shell("cat sub/deep"))
	require.ErrorIs(t, os.WriteFile(filepath.Join(p.Point, "new"), nil, 0o600), unix.EROFS)

	value := make([]byte, 16)
	n, err := unix.Getxattr(filepath.Join(p.Point, "text"), "user.mega.access", value)
	require.NoError(t, err)
	require.Equal(t, "read", string(value[:n]))

	a.PutFile(a.Find("shown"), "later", []byte("x"), megatestTime)
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(p.Point, "later")); return err == nil }, bounded, 10*time.Millisecond)

	st := p.Statuses()
	require.Len(t, st, 1)
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	require.Contains(t, string(mounts), strings.TrimSuffix(link, "#"+keyOf(link))+" ")
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", st[0].PID))
	require.NoError(t, err)
	for what, text := range map[string]string{
		"the kernel's list": string(mounts),
		"the status":        p.Run("status") + p.Run("status", "--json"),
		"the arguments":     string(arguments),
		"the log":           logText(t, p),
	} {
		require.NotContains(t, text, keyOf(link), what)
	}
	require.Contains(t, refused(t, p, 1, "", "link", filepath.Join(p.Point, "text")), "can't be changed")

	p.Run("mount", link+"/folder/"+a.Find("shown/sub"), mkdir(t, p, "inner"))
	require.FileExists(t, filepath.Join(p.Dir, "inner", "deep"))
	require.Len(t, p.Statuses(), 1, "one process a link")
	p.Run("unmount", filepath.Join(p.Dir, "inner"))

	a.Unexport(a.Find("shown"))
	require.Eventually(t, func() bool { return strings.Contains(p.Run("status"), "leads nowhere") }, bounded, 50*time.Millisecond)
	require.Equal(t, "of the folder", p.Shell("cat text"), "what is here is still here")
	p.Run("unmount", p.Point)
	p.Server.Close()
	p.Run("mount", link, p.Point)
	require.Equal(t, "of the folder", p.Shell("cat text"), "and without the network")
	p.Run("unmount", p.Point)
}

func TestMountOfAFileLink(t *testing.T) {
	p, _, _, link := linked(t)
	_, errs, status := p.Try(link+"\n", "mount", "-", p.Point)
	require.Zero(t, status, errs)
	require.Equal(t, "single\n", p.Shell("ls"))
	require.Equal(t, "of the file", p.Shell("cat single"))
	require.ErrorIs(t, os.Remove(filepath.Join(p.Point, "single")), unix.EROFS)
	p.Run("mount", link, p.Point) // as a second mount -a does it
	p.Run("unmount", p.Point)
	p.Run("mount", link, p.Point)
	require.Equal(t, "of the file", p.Shell("cat single"))
	p.Run("unmount", p.Point)
}

// TestMountOfALinkBesideAnAccount: each has its process; a link is no account to log out of, or whose bin there is.
func TestMountOfALinkBesideAnAccount(t *testing.T) {
	p, _, link, _ := linked(t)
	p.Login()
	p.Mount()
	other := mkdir(t, p, "link")
	p.Run("mount", link, other)
	require.Len(t, p.Statuses(), 2)
	require.Contains(t, p.Run("bin", "list"), "empty")
	p.Run("unmount", p.Point)
	p.Run("logout")
	require.FileExists(t, filepath.Join(other, "text"))
	p.Run("unmount", other)
}

func TestBadLinks(t *testing.T) {
	p, a, folder, file := linked(t)
	bare := strings.TrimSuffix(folder, "#"+keyOf(folder))
	wrong := bare + "#AAAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct {
		status int
		link   string
		says   string
	}{
		{2, "https://mega.nz/nothing", "no MEGA link"},
		{2, folder[:len(folder)-3], "not all of it"},
		{2, bare, "link=…"},
		{2, wrong, "not the right one"},
		{8, "https://mega.nz/folder/AAAAAAAA#AAAAAAAAAAAAAAAAAAAAAA", "leads nowhere"},
	} {
		text := refused(t, p, c.status, "", "mount", c.link, p.Point)
		require.Contains(t, text, c.says, c.link)
	}
	require.Contains(t, refused(t, p, 2, "", "mount", folder, p.Point, "--account", program.Email), "no account")
	require.Contains(t, refused(t, p, 2, "hello\n", "mount", "-", p.Point), "no link")
	require.Contains(t, refused(t, p, 8, "", "mount", folder+"/folder/AAAAAAAA", p.Point), "not in its folder")
	a.Unexport(a.Find("single"))
	require.Contains(t, refused(t, p, 8, "", "mount", file, p.Point), "leads nowhere")
	p.Run("mount", folder, p.Point)
	p.Run("unmount", p.Point)
	require.Contains(t, refused(t, p, 2, "", "mount", wrong, p.Point), "not the right one", "also where a state is")
}

func mkdir(t *testing.T, p *program.Program, name string) string {
	t.Helper()
	dir := filepath.Join(p.Dir, name)
	require.NoError(t, os.Mkdir(dir, 0o755))
	return dir
}

func logText(t *testing.T, p *program.Program) (all string) {
	t.Helper()
	for _, path := range p.Logs() {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		all += string(text)
	}
	return all
}
