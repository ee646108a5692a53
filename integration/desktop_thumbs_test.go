package integration

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// photo is a JPEG of a colour of its own.
func photo(t testing.TB, w, h, number int) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			picture.SetRGBA(x, y, color.RGBA{uint8(number * 37), uint8(x * 255 / w), uint8(y * 255 / h), 255})
		}
	}
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, picture, nil))
	return out.Bytes()
}

// putAlbum does what a phone does: pictures with their thumbnails.
func putAlbum(t testing.TB, account *megatest.Account, files int) (names []string) {
	t.Helper()
	album := account.Mkdir(account.Root(), "album")
	for i := range files {
		name := fmt.Sprintf("photo %03d [ä;#].jpg", i)
		h := account.PutFile(album, name, photo(t, 64, 48, i), time.Unix(1600000000+int64(i), 0))
		account.SetFileAttr(h, 0, photo(t, 60, 60, i))
		account.SetFileAttr(h, 1, photo(t, 160, 120, i))
		names = append(names, name)
	}
	return names
}

// thumbnails lists what the desktop has of a size.
func thumbnails(p *program.Program, size string) []string {
	list, _ := filepath.Glob(filepath.Join(p.Dir, "usercache", "thumbnails", size, "*.png"))
	return list
}

// TestThumbnailsWithoutDownloads: for a folder that is looked at, the desktop finds valid thumbnails of every picture,
// and no byte of content was read.
func TestThumbnailsWithoutDownloads(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	const files = 120
	names := putAlbum(t, account, files)
	p.Login()
	p.Run("mount", "-o", "thumbnails=ls", p.Point)
	find := p.Shell("find . -name '*.jpg' | wc -l")
	require.Equal(t, fmt.Sprint(files), strings.TrimSpace(find))
	require.Empty(t, thumbnails(p, "normal"), "find looks at nothing")

	asked := p.Server.Stats().Commands["ufa"]
	p.Shell("ls album")
	for _, size := range []string{"normal", "large"} {
		require.Eventually(t, func() bool { return len(thumbnails(p, size)) == files }, bounded, 10*time.Millisecond)
	}
	require.LessOrEqual(t, p.Server.Stats().Commands["ufa"]-asked, 4, "a hundred pictures of a size in a request")
	require.Zero(t, p.Server.Stats().BytesDown)

	script := `export XDG_CACHE_HOME=` + filepath.Join(p.Dir, "usercache") + `; gio info -a thumbnail::path,thumbnail::is-valid "album/` + names[7] + `"`
	require.Contains(t, desktopShell(t, p, script), "thumbnail::is-valid: TRUE")

	// Another version, another time: the old thumbnail is not valid, and its own comes with the next look.
	newer := account.PutVersion(account.Find("album/"+names[7]), photo(t, 64, 48, 99), time.Unix(1700000007, 0))
	account.SetFileAttr(newer, 0, photo(t, 120, 120, 99))
	require.Eventually(t, func() bool {
		p.Shell("ls album")
		for _, path := range thumbnails(p, "normal") {
			if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte("Thumb::MTime\x001700000007")) {
				return true
			}
		}
		return false
	}, bounded, 50*time.Millisecond)
	require.Contains(t, desktopShell(t, p, script), "thumbnail::is-valid: TRUE")
	require.Zero(t, p.Server.Stats().BytesDown)
}

// TestUploadedPicturesGetThumbnails: what is saved here has its pictures for phone and web.
func TestUploadedPicturesGetThumbnails(t *testing.T) {
	p, account := mountedProgram(t)
	require.NoError(t, os.WriteFile(filepath.Join(p.Point, "a.jpg"), photo(t, 1600, 800, 1), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(p.Point, "b.JPG"), []byte("no picture"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(p.Point, "c.txt"), photo(t, 16, 8, 1), 0o644))
	p.Run("flush")
	h := account.Find("a.jpg")
	require.Eventually(t, func() bool { return account.FileAttr(h, 1) != nil }, bounded, 10*time.Millisecond)
	for typ, want := range map[int]image.Point{0: image.Pt(120, 120), 1: image.Pt(1000, 500)} {
		picture, err := jpeg.DecodeConfig(bytes.NewReader(account.FileAttr(h, typ)))
		require.NoError(t, err)
		require.Equal(t, want, image.Pt(picture.Width, picture.Height))
	}
	require.Equal(t, h, account.Find("a.jpg"), "no new version")
	require.Zero(t, p.Server.Stats().BytesDown, "made from what is here")
	require.Empty(t, account.FileAttrs(account.Find("b.JPG")))
	require.Empty(t, account.FileAttrs(account.Find("c.txt")))
}
