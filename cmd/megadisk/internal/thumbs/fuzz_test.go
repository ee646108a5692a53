package thumbs

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzOrientation: what a camera, or somebody who sends pictures, wrote into one.
func FuzzOrientation(f *testing.F) {
	var plain bytes.Buffer
	require.NoError(f, jpeg.Encode(&plain, halves(8, 8), nil))
	f.Add(plain.Bytes())
	f.Add(oriented(plain.Bytes(), 6, binary.BigEndian))
	f.Add(oriented(plain.Bytes(), 3, binary.LittleEndian))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := orientation(data)
		require.True(t, got >= 1 && got <= 8, got)
		isSequential(data)
	})
}

// FuzzPicture: what is decoded has no more pixels than were allowed, and brings nothing down.
func FuzzPicture(f *testing.F) {
	var asPNG, asGIF bytes.Buffer
	require.NoError(f, png.Encode(&asPNG, halves(8, 8)))
	require.NoError(f, gif.Encode(&asGIF, halves(8, 8), nil))
	for _, seed := range [][]byte{
		asPNG.Bytes(), asGIF.Bytes(), []byte("RIFF\x24\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x10\x00\x00\x00\x01\x00\x00\x01\x00\x00ALPH"),
		[]byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"),
		[]byte("II*\x00\x08\x00\x00\x00\x01\x00\x00\x01\x03\x00\x01\x00\x00\x00\x08\x00\x00\x00"), []byte("BM\x46\x00\x00\x00\x00\x00\x00\x00\x36"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if config, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil && config.Width*config.Height > 1<<20 {
			return // would only be slow
		}
		picture, err := decode(data)
		if err != nil {
			require.NotContains(t, err.Error(), "panicked")
			return
		}
		b := picture.Bounds()
		require.LessOrEqual(t, max(b.Dx(), b.Dy()), maxSide)
		fitInto(picture, thumbPixels)
	})
}
