package desktop

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

const pictures = 200

// picturesFolder is where the pictures of the screen go. Without one the test isn't run.
func picturesFolder(t *testing.T) string {
	images := os.Getenv("MEGADISK_DESKTOP")
	if images == "" {
		t.Skip("NOT RUN: `make desktop` does")
	}
	images, err := filepath.Abs(images)
	require.NoError(t, err)
	return images
}

// TestFileManager: Thunar shows a folder of 200 pictures without a byte of their content, deletes to the trash and
// restores; a text file is opened with the Return key, saved in the editor, and renamed. The pictures for docs/img are taken
// on the way.
func TestFileManager(t *testing.T) {
	images := picturesFolder(t)
	needs.FUSE(t)
	needs.Programs(t, "Xvfb", "dbus-daemon", "thunar", "xdotool", "import", "mousepad")
	p, account := program.WithAccount(t)
	fill(t, account)
	p.Login()
	p.Mount()
	s := newScreen(t, p)

	album := filepath.Join(p.Point, "Holidays")
	s.open("thunar", album)
	window := s.window("Holidays")
	for _, size := range []string{"normal", "large"} {
		s.until("thumbnails", func() bool {
			list, _ := filepath.Glob(filepath.Join(p.Dir, "usercache", "thumbnails", size, "*.png"))
			return len(list) == pictures
		})
	}
	s.shoot(filepath.Join(images, "thumbnails.png"))
	require.Zero(t, p.Server.Stats().BytesDown, "no byte of content was read")

	// Delete the first, look at the trash, and restore it.
	first := account.Find("Holidays/photo-001.jpg")
	s.focus(window)
	s.settle()
	s.keys("Home", "Delete")
	s.until("the trash", func() bool { return account.InRubbish(first) })
	s.open("thunar", "trash:///")
	s.window("Trash")
	s.shoot(filepath.Join(images, "trash.png"))
	s.keys("ctrl+a")
	s.settle()
	s.run("xdotool", "mousemove", "722", "670", "click", "1") // "Restore Selected Items"
	s.until("the restored file", func() bool { return account.Find("Holidays/photo-001.jpg") == first })
	require.Zero(t, p.Server.Stats().BytesDown)

	// Open a text file with the Return key, save it, rename it.
	s.open("thunar", filepath.Join(p.Point, "Documents"))
	documents := s.window("Documents")
	s.settle()
	s.keys("Home", "Return")
	s.window("notes.txt")
	s.settle()
	s.keys("ctrl+End")
	s.write("Buy milk.")
	s.keys("Return", "ctrl+s")
	s.until("the saved text", func() bool {
		h := account.Find("Documents/notes.txt")
		return h != "" && string(account.ReadFile(h)) == "Buy bread.\nBuy milk.\n"
	})
	s.shoot(filepath.Join(images, "editor.png"))
	s.keys("ctrl+q")
	s.until("the end of the editor", func() bool { return !s.shows("notes.txt") })
	s.focus(documents)
	s.settle()
	s.keys("ctrl+a", "F2")
	s.settle()
	s.keys("ctrl+a")
	s.write("shopping.txt")
	s.keys("Return")
	s.until("the renamed file", func() bool { return account.Find("Documents/shopping.txt") != "" })
	s.shoot(filepath.Join(images, "renamed.png"))
}

// fill does what a phone does.
func fill(t *testing.T, account *megatest.Account) {
	t.Helper()
	album := account.Mkdir(account.Root(), "Holidays")
	for i := range pictures {
		h := account.PutFile(album, fmt.Sprintf("photo-%03d.jpg", i+1), photo(t, 64, 48, i), time.Unix(1700000000+int64(i)*3600, 0))
		account.SetFileAttr(h, 0, photo(t, 120, 120, i))
		account.SetFileAttr(h, 1, photo(t, 240, 180, i))
	}
	docs := account.Mkdir(account.Root(), "Documents")
	account.PutFile(docs, "notes.txt", []byte("Buy bread.\n"), time.Unix(1700000000, 0))
}

// photo is a landscape of colours of its own.
func photo(t *testing.T, w, h, number int) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, w, h))
	sun := image.Pt(w*(15+number*7%70)/100, h*(15+number*11%30)/100)
	for y := range h {
		for x := range w {
			c := color.RGBA{uint8(80 + number*13%120), uint8(140 + y*80/h), uint8(255 - number*5%90), 255}
			if hill := h*6/10 + h*((x*100/w+number*17)%50-25)*((x*100/w+number*17)%50-25)/4000; y > hill {
				c = color.RGBA{uint8(40 + number*29%90), uint8(110 + number*7%80), 60, 255}
			}
			if dx, dy := x-sun.X, y-sun.Y; dx*dx+dy*dy < w*w/160 {
				c = color.RGBA{255, 230, 120, 255}
			}
			picture.SetRGBA(x, y, c)
		}
	}
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, picture, nil))
	return out.Bytes()
}
