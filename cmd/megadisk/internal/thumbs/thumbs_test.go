package thumbs

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// halves is a picture whose left half is red and whose right half is blue.
func halves(w, h int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{R: 255, A: 255}
			if x >= w/2 {
				c = color.RGBA{B: 255, A: 255}
			}
			out.SetRGBA(x, y, c)
		}
	}
	return out
}

func jpegOf(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, picture, nil))
	return out.Bytes()
}

// oriented puts EXIF's orientation into a JPEG.
func oriented(data []byte, orientation uint16, order binary.AppendByteOrder) []byte {
	tiff := []byte("MM\x00*")
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		tiff = []byte("II*\x00")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)
	for _, entry := range [][2]uint16{{0x010f, 7}, {0x0112, orientation}} {
		tiff = order.AppendUint16(tiff, entry[0])
		tiff = order.AppendUint16(tiff, 3)
		tiff = order.AppendUint32(tiff, 1)
		tiff = order.AppendUint16(tiff, entry[1])
		tiff = append(tiff, 0, 0)
	}
	body := append([]byte("Exif\x00\x00"), tiff...)
	out := append(bytes.Clone(data[:2]), 0xff, 0xe1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
	return append(append(out, body...), data[2:]...)
}

func isRed(t *testing.T, picture image.Image, x, y int) bool {
	t.Helper()
	r, _, b, _ := picture.At(x, y).RGBA()
	require.Greater(t, max(r, b), uint32(0xc000))
	return r > b
}

func TestPicturesOfAnUpload(t *testing.T) {
	thumb, preview, err := makePictures(jpegOf(t, halves(3000, 1500)))
	require.NoError(t, err)
	small, err := jpeg.Decode(bytes.NewReader(thumb))
	require.NoError(t, err)
	require.Equal(t, image.Pt(120, 120), small.Bounds().Size(), "square, the middle")
	require.True(t, isRed(t, small, 10, 60))
	require.False(t, isRed(t, small, 110, 60))
	whole, err := jpeg.Decode(bytes.NewReader(preview))
	require.NoError(t, err)
	require.Equal(t, image.Pt(1000, 500), whole.Bounds().Size())

	var out bytes.Buffer
	require.NoError(t, gif.Encode(&out, halves(40, 20), nil))
	_, preview, err = makePictures(out.Bytes())
	require.NoError(t, err)
	whole, err = jpeg.Decode(bytes.NewReader(preview))
	require.NoError(t, err)
	require.Equal(t, image.Pt(40, 20), whole.Bounds().Size(), "never larger than it is")
}

func TestPicturesAreUpright(t *testing.T) {
	data := jpegOf(t, halves(200, 100))
	for o, red := range map[uint16]struct{ left, top bool }{
		1: {true, false}, 2: {false, false}, 3: {false, false}, 4: {true, false},
		5: {false, true}, 6: {false, true}, 7: {false, false}, 8: {false, false},
	} {
		for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
			_, preview, err := makePictures(oriented(data, o, order))
			require.NoError(t, err)
			picture, err := jpeg.Decode(bytes.NewReader(preview))
			require.NoError(t, err)
			if o < 5 {
				require.Equal(t, image.Pt(200, 100), picture.Bounds().Size(), o)
				require.Equal(t, red.left, isRed(t, picture, 20, 50), o)
			} else {
				require.Equal(t, image.Pt(100, 200), picture.Bounds().Size(), o)
				require.Equal(t, red.top, isRed(t, picture, 50, 20), o)
			}
		}
	}
	for _, broken := range [][]byte{nil, {0xff}, data[:30], oriented(data, 99, binary.BigEndian), oriented(data, 6, binary.BigEndian)[:28]} {
		require.Equal(t, 1, orientation(broken))
	}
}

func TestPicturesThatAreTooLargeAreLeftAlone(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, image.NewGray(image.Rect(0, 0, 10, 10))))
	data := out.Bytes()
	binary.BigEndian.PutUint32(data[16:], 1<<20) // a width that no memory holds
	binary.BigEndian.PutUint32(data[20:], 1<<20)
	_, err := decode(fixHead(data))
	require.ErrorIs(t, err, errTooLarge)
	_, _, err = makePictures([]byte("no picture"))
	require.Error(t, err)
}

// headOfPNG is the beginning of one of gray.
func headOfPNG(t *testing.T, width, height uint32, interlace byte) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, image.NewGray(image.Rect(0, 0, 1, 1))))
	data := out.Bytes()
	binary.BigEndian.PutUint32(data[16:], width)
	binary.BigEndian.PutUint32(data[20:], height)
	data[28] = interlace
	return fixHead(data)
}

// A line of pixels takes little by itself, and scaling it gigabytes. Of gray, which may be transparent, all channels are
// counted; of a picture in passes the passes.
func TestPicturesThatTakeMoreThanTheirPixels(t *testing.T) {
	for what, head := range map[string][]byte{
		"wide": headOfPNG(t, maxSide+1, 1, 0), "high": headOfPNG(t, 1, maxSide+1, 0),
		"transparent": headOfPNG(t, 6_500, 6_500, 0), "in passes": headOfPNG(t, 5_000, 5_000, 1),
	} {
		_, err := decode(head)
		require.ErrorIs(t, err, errTooLarge, what)
	}
	for what, head := range map[string][]byte{"long": headOfPNG(t, maxSide, 1, 0), "large": headOfPNG(t, 5_000, 5_000, 0)} {
		_, err := decode(head)
		require.Error(t, err, what)
		require.NotErrorIs(t, err, errTooLarge, what)
	}
}

func TestAFileThatHasGrownIsNotRead(t *testing.T) {
	_, _, err := (&Keeper{}).picturesOf(t.Context(), 1, maxPicture+1)
	require.ErrorIs(t, err, errTooLarge)
}

func TestADecoderThatPanics(t *testing.T) {
	image.RegisterFormat("broken", "BROKEN", func(io.Reader) (image.Image, error) { panic("broken") },
		func(io.Reader) (image.Config, error) {
			return image.Config{ColorModel: color.GrayModel, Width: 1, Height: 1}, nil
		})
	picture, err := decode([]byte("BROKEN"))
	require.ErrorContains(t, err, "panicked")
	require.Nil(t, picture)
}

// headOfJPEG is the beginning of one of 11,000 by 11,000 pixels with so many components.
func headOfJPEG(kind byte, components int, before ...byte) []byte {
	body := []byte{8, 11_000 >> 8, 11_000 & 0xff, 11_000 >> 8, 11_000 & 0xff, byte(components)}
	for i := range components {
		body = append(body, byte(i+1), 0x11, 0)
	}
	out := append([]byte{segmentStart, segmentSOI}, before...)
	out = binary.BigEndian.AppendUint16(append(out, segmentStart, kind), uint16(len(body)+2))
	return append(append(out, body...), segmentStart, segmentSOS, 0, 2)
}

// What decoding keeps of a progressive picture is several times the picture, whatever its colours; one that hides what it
// is counts as progressive.
func TestProgressivePicturesAreCountedWhole(t *testing.T) {
	const progressive = 0xc2
	hidden := []byte{segmentStart, 0xd0, 0, 2} // to some decoders a segment, to others a mark alone
	for _, components := range []int{1, 3, 4} {
		_, err := decode(headOfJPEG(progressive, components))
		require.ErrorIs(t, err, errTooLarge, components)
		_, err = decode(headOfJPEG(progressive, components, hidden...))
		require.ErrorIs(t, err, errTooLarge, components)
	}
	_, err := decode(headOfJPEG(segmentBaseline, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, errTooLarge, "gray takes a byte a pixel")
	require.True(t, isSequential(jpegOf(t, halves(8, 8))), "an ordinary one")
	require.True(t, isSequential(oriented(jpegOf(t, halves(8, 8)), 6, binary.BigEndian)))
}

// fixHead makes a PNG's first checksum right again.
func fixHead(data []byte) []byte {
	binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(data[12:29]))
	return data
}

func TestStoreAsDesktopsReadIt(t *testing.T) {
	s := store{t.TempDir()}
	e := entry{uri: fileURI("/mnt/a b/ä#%?;[1]'!.jpg"), mtime: 1234567890}
	require.Equal(t, "file:///mnt/a%20b/%C3%A4%23%25%3F%3B%5B1%5D'!.jpg", e.uri)
	require.False(t, s.has(normal, e))
	require.NoError(t, s.put(normal, e, fitInto(halves(300, 100), normal.pixels)))
	require.True(t, s.has(normal, e))
	require.False(t, s.has(large, e))
	require.False(t, s.has(normal, entry{e.uri, e.mtime + 1}), "another time")
	f, err := os.Open(s.path(normal, e.uri))
	require.NoError(t, err)
	defer f.Close()
	picture, err := png.Decode(f)
	require.NoError(t, err)
	require.Equal(t, image.Pt(128, 42), picture.Bounds().Size())
	info, err := f.Stat()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}
