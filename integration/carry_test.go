package integration

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// carried is what get, put and import print with --json.
type carried struct {
	Path           string `json:"path"`
	Files, Folders int
	Bytes          int64
}

// sameTree compares two folders of the local disk, by names, contents and times of files.
func sameTree(t *testing.T, p *program.Program, a, b string) {
	t.Helper()
	p.Shell("diff -r '" + a + "' '" + b + "'")
	require.NoError(t, filepath.Walk(a, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(a, path)
		other, err := os.Stat(filepath.Join(b, rel))
		require.NoError(t, err)
		require.Equal(t, info.ModTime().Unix(), other.ModTime().Unix(), rel)
		return nil
	}))
}

// TestPutAndGet: a tree goes up, whole when put returns, and comes back, from the mount and over a link, with nothing
// overwritten.
func TestPutAndGet(t *testing.T) {
	p, account := mountedProgram(t)
	src := mkdir(t, p, "src")
	p.Shell("cd ../src && mkdir -p sub/empty && head -c 3000000 /dev/urandom >big && echo text >'sub/a b' && ln -s big link && touch -d 2001-02-03 big")
	var put carried
	require.NoError(t, json.Unmarshal([]byte(p.Run("put", src, filepath.Join(p.Point), "--json")), &put))
	require.Equal(t, carried{"/src", 3, 3, 3_000_005}, put)
	require.EqualValues(t, 3_000_000, account.Tree()["src/big"].Size, "it is in the cloud")
	require.Equal(t, "text\n", p.Shell("cat 'src/sub/a b'"))
	p.Run("put", src, p.Point)
	require.Len(t, account.Versions(account.Find("src/big")), 2, "once more: a new version")

	back := mkdir(t, p, "back")
	p.Run("get", filepath.Join(p.Point, "src"), back)
	sameTree(t, p, src, filepath.Join(back, "src"))
	p.Run("get", filepath.Join(p.Point, "src/big"), filepath.Join(back, "renamed"))
	require.FileExists(t, filepath.Join(back, "renamed"))
	require.Contains(t, refused(t, p, 1, "", "get", filepath.Join(p.Point, "src"), back), "of that name already")
	require.Contains(t, refused(t, p, 1, "", "get", filepath.Join(p.Point, "src"), p.Point), "another disk")
	require.Contains(t, refused(t, p, 1, "", "put", p.Point, p.Point), "another disk")
	require.Contains(t, refused(t, p, 8, "", "get", filepath.Join(p.Point, "none"), back), "there is no")
	require.Contains(t, refused(t, p, 8, "", "put", src, filepath.Join(p.Point, "none/x")), "no folder")
	p.Run("unmount", p.Point)
}

// A folder that lets nobody write into it comes with what is in it, also for an ordinary user.
func TestGetOfAFolderThatLetsNobodyWrite(t *testing.T) {
	needs.FUSE(t)
	needs.Programs(t, "fusermount3")
	p, _ := program.WithAccount(t)
	asUser(t, p)
	p.Login()
	p.Mount()
	src, back := mkdir(t, p, "src"), mkdir(t, p, "back")
	got := filepath.Join(back, "src")
	require.NoError(t, os.WriteFile(filepath.Join(src, "f"), []byte("text"), 0o644))
	t.Cleanup(func() { _ = errors.Join(os.Chmod(src, 0o755), os.Chmod(got, 0o755)) }) // so that they can be removed
	require.NoError(t, os.Chmod(src, 0o555))
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(back, nobody, nobody))
	}
	p.Run("put", src, p.Point)
	p.Run("get", filepath.Join(p.Point, "src"), back)
	require.FileExists(t, filepath.Join(got, "f"))
	info, err := os.Stat(got)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o555), info.Mode().Perm())
	p.Run("unmount", p.Point)
}

// TestGetAndImportLinks: what links open is copied to the disk without an account, and into the drive.
func TestGetAndImportLinks(t *testing.T) {
	p, account := mountedProgram(t)
	dir := account.Mkdir(account.Root(), "public")
	account.PutFile(account.Mkdir(dir, "sub"), "deep", []byte("below"), megatestTime)
	account.PutFile(dir, "twice", []byte("one"), megatestTime)
	account.PutFile(dir, "twice", []byte("two"), megatestTime)
	account.PutFile(dir, "empty", nil, megatestTime)
	folder := account.Export(dir)
	file := account.Export(account.PutFile(account.Root(), "single", []byte("alone"), megatestTime))

	down := mkdir(t, p, "down")
	var got carried
	require.NoError(t, json.Unmarshal([]byte(p.Run("get", folder, down, "--json")), &got))
	require.Equal(t, carried{filepath.Join(down, "public"), 4, 2, 11}, got)
	_, errs, status := p.Try(file+"\n", "get", "-", filepath.Join(down, "renamed"))
	require.Zero(t, status, errs)
	text, err := os.ReadFile(filepath.Join(down, "renamed"))
	require.NoError(t, err)
	require.Equal(t, "alone", string(text))
	names, err := os.ReadDir(filepath.Join(down, "public"))
	require.NoError(t, err)
	require.Len(t, names, 4)

	p.Run("import", folder, filepath.Join(p.Point, "mine"))
	tree := account.Tree()
	require.EqualValues(t, 5, tree["mine/sub/deep"].Size)
	require.Contains(t, tree, "mine/twice")
	p.Run("import", file, p.Point+"/mine/sub")
	require.Equal(t, "alone", p.Shell("cat mine/sub/single"))
	p.Run("get", filepath.Join(p.Point, "mine"), down)
	p.Shell("diff -r ../down/public ../down/mine --exclude single")

	require.Contains(t, refused(t, p, 1, "", "import", file, p.Point+"/mine/sub"), "name is taken")
	require.Contains(t, refused(t, p, 2, "", "get", "https://mega.nz/folder/AAAAAAAA", down), "key is missing")
	account.Unexport(dir)
	require.Contains(t, refused(t, p, 8, "", "get", folder, down), "leads nowhere")
	require.Contains(t, refused(t, p, 8, "", "import", folder, p.Point), "leads nowhere")
	p.Run("unmount", p.Point)
}

// Names that are no UTF-8 are no reason to leave something out, or to tell it twice, where the next page begins behind one.
func TestFindOfNamesThatAreNotUTF8(t *testing.T) {
	p, _ := mountedProgram(t)
	p.Shell(`for i in $(seq 1000 2200); do : > $'caf\xe9 '$i; done`)
	require.Equal(t, 1202, strings.Count(p.Run("find", p.Point), "\n"))
	p.Run("unmount", "--no-wait", p.Point)
}

// TestFindDuAndFree: by the tree, without touching the mount or the network; freeing gives the space back.
func TestFindDuAndFree(t *testing.T) {
	p, account := mountedProgram(t)
	dir := account.Mkdir(account.Root(), "d")
	sub := account.Mkdir(dir, "sub")
	account.PutFile(dir, "old.jpg", make([]byte, 300_000), megatestTime)
	account.PutFile(sub, "new.txt", []byte("12345"), time.Now())
	for range 3 { // more than a page
		op := account.Mkdir(sub, "many")
		for i := range 10 {
			account.Mkdir(op, strings.Repeat("x", i+1))
		}
	}
	require.Eventually(t, func() bool { return strings.Count(p.Run("find", p.Point), "\n") == 38 }, bounded, 10*time.Millisecond)
	at := func(rest string) string { return filepath.Join(p.Point, rest) + "\n" }
	before := p.Server.Stats()
	require.Equal(t, at("d/old.jpg"), p.Run("find", p.Point, "--name", "*.jpg"))
	require.Equal(t, at("d/old.jpg"), p.Run("find", at("d")[:len(at("d"))-1], "--larger", "10K"))
	require.Equal(t, at("d/sub/new.txt"), p.Run("find", p.Point, "--newer", "1d", "--type", "f"))
	require.Equal(t, at("d/old.jpg")+at("d/sub/new.txt"), p.Run("find", p.Point, "--away"))
	require.Equal(t, at("d/old.jpg"), p.Run("find", filepath.Join(p.Point, "d/old.jpg")))
	du := p.Run("du", p.Point, "--json")
	var sums []struct {
		Path        string
		Files       int
		Bytes, Here int64
	}
	require.NoError(t, json.Unmarshal([]byte(du), &sums))
	require.Len(t, sums, 2)
	require.Equal(t, p.Point, sums[0].Path)
	require.EqualValues(t, 300_005, sums[0].Bytes)
	require.Zero(t, sums[0].Here)
	require.Equal(t, before.Downloads, p.Server.Stats().Downloads, "nothing is downloaded")

	p.Shell("cat d/old.jpg d/sub/new.txt >/dev/null")
	require.Empty(t, p.Run("find", p.Point, "--away"))
	require.Contains(t, p.Run("du", p.Point), "293 KiB here")
	require.Contains(t, p.Run("cache", "show"), "on disk: ")
	require.Contains(t, p.Run("free", filepath.Join(p.Point, "d/old.jpg")), "293 KiB")
	require.Equal(t, at("d/old.jpg"), p.Run("find", p.Point, "--away"))
	require.Contains(t, p.Run("free", p.Point, "--json"), `"freed": 5`)
	p.Run("pin", filepath.Join(p.Point, "d/old.jpg"))
	require.Eventually(t, func() bool { return p.Run("find", p.Point, "--away", "--name", "*.jpg") == "" }, bounded, 10*time.Millisecond)
	require.Contains(t, p.Run("free", p.Point), "Freed: 0 B", "what is pinned stays")
	p.Shell("cat d/sub/new.txt")
	require.Eventually(t, func() bool { // what is being read stays, and the kernel may still have to say that it is closed
		p.Run("cache", "clear")
		return p.Run("find", p.Point, "--away") == at("d/sub/new.txt")
	}, bounded, 10*time.Millisecond, "and here")
	for _, bad := range [][]string{{"--name", "["}, {"--type", "x"}, {"--newer", "x"}, {"--larger", "x"}} {
		refused(t, p, 2, "", append([]string{"find", p.Point}, bad...)...)
	}
	require.Contains(t, refused(t, p, 8, "", "find", filepath.Join(p.Point, "none")), "there is no")
	p.Run("unmount", p.Point)
}
