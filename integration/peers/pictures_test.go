package peers

import (
	"bytes"
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
)

// TestPicturesForOtherClients: the thumbnail and preview that a mount makes of a picture saved in it are read by another
// client with its own code, and one that megajs has attached is shown by the mount, without a byte of content.
func TestPicturesForOtherClients(t *testing.T) {
	needs.FUSE(t)
	megajs(t)
	p, account := program.WithAccount(t)
	p.Login()
	p.Run("mount", "-o", "thumbnails=ls", p.Point)
	require.NoError(t, os.WriteFile(filepath.Join(p.Point, "ours.jpg"), drawn(t, 1600, 800), 0o644))
	p.Run("flush")
	w := &world{T: t, server: p.Server, account: account}
	js := w.enter(account, program.Password)
	for typ, size := range map[int]image.Point{0: image.Pt(120, 120), 1: image.Pt(1000, 500)} {
		to := filepath.Join(p.Dir, "picture")
		require.Eventually(t, func() bool { return account.FileAttr(account.Find("ours.jpg"), typ) != nil }, time.Minute, 10*time.Millisecond)
		js.do("picture", args{"path": "ours.jpg", "type": typ, "to": to}, nil)
		data, err := os.ReadFile(to)
		require.NoError(t, err)
		got, err := jpeg.DecodeConfig(bytes.NewReader(data))
		require.NoError(t, err)
		require.Equal(t, size, image.Pt(got.Width, got.Height))
	}

	from := filepath.Join(p.Dir, "from")
	require.NoError(t, os.WriteFile(from, drawn(t, 64, 48), 0o600))
	js.do("put", args{"path": "", "name": "theirs.jpg", "from": from}, nil)
	require.NoError(t, os.WriteFile(from, drawn(t, 120, 120), 0o600))
	js.do("attach", args{"path": "theirs.jpg", "type": "thumbnail", "from": from}, nil)
	down := p.Server.Stats().BytesDown
	require.Eventually(t, func() bool {
		p.Shell("ls")
		found, _ := filepath.Glob(filepath.Join(p.Dir, "usercache", "thumbnails", "normal", "*.png"))
		return len(found) == 2 // that of each
	}, time.Minute, 100*time.Millisecond)
	require.Equal(t, down, p.Server.Stats().BytesDown)
}

// drawn is a picture of a size.
func drawn(t *testing.T, w, h int) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			picture.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x + y), 255})
		}
	}
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, picture, nil))
	return out.Bytes()
}
