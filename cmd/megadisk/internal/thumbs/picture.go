package thumbs

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif"
	"image/jpeg"
	_ "image/png"
	"path"
	"slices"
	"strings"

	"golang.org/x/image/draw"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"
)

const (
	thumbPixels   = 120       // of MEGA's thumbnails, which are square
	previewPixels = 1000      // of the longer side of its previews, at most
	quality       = 85        // of both, as JPEG
	maxPicture    = 64 << 20  // bytes of a file that is decoded
	maxDecoded    = 160 << 20 // bytes that decoding may take
	maxSide       = 1 << 16   // pixels: scaling takes 32 bytes and more for each row and column
)

var errTooLarge = errors.New("the picture is too large for a thumbnail")

// isPicture tells by a name whether a thumbnail can be made.
func isPicture(name string) bool {
	return slices.Contains([]string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"}, strings.ToLower(path.Ext(name)))
}

// makePictures makes MEGA's thumbnail and preview of a picture.
func makePictures(content []byte) (thumb, preview []byte, err error) {
	whole, err := decode(content)
	if err != nil {
		return nil, nil, err
	}
	small := upright(fitInto(whole, previewPixels), orientation(content))
	if preview, err = encodeJPEG(small); err != nil {
		return nil, nil, err
	}
	thumb, err = encodeJPEG(square(small, thumbPixels))
	return thumb, preview, err
}

func encodeJPEG(picture image.Image) ([]byte, error) {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("encoding a picture: %w", err)
	}
	return out.Bytes(), nil
}

// decode reads a picture, unless that takes too much memory. What brings a decoder down is an error, and not the mount's end.
func decode(content []byte) (picture image.Image, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			picture, err = nil, fmt.Errorf("reading a picture: its decoder panicked: %T", cause)
		}
	}()
	config, format, err := image.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("reading a picture: %w", err)
	}
	if config.Width <= 0 || config.Height <= 0 || max(config.Width, config.Height) > maxSide ||
		int64(config.Width)*int64(config.Height) > maxDecoded/bytesAPixel(format, config.ColorModel, content) {
		return nil, errTooLarge
	}
	if picture, _, err = image.Decode(bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("reading a picture: %w", err)
	}
	return picture, nil
}

// bytesAPixel is what decoding takes for each pixel, at most.
func bytesAPixel(format string, model color.Model, content []byte) int64 {
	switch format {
	case "jpeg":
		return bytesAPixelOfJPEG(model, isSequential(content))
	case "png":
		return bytesAPixelOfPNG(model, content)
	}
	switch model {
	case color.RGBA64Model, color.NRGBA64Model, color.NYCbCrAModel: // the last one's transparency is a picture by itself
		return 8
	}
	return 4
}

// bytesAPixelOfPNG counts what comes behind the header, too: one colour, of gray as well, may be transparent, which takes
// all four channels; and a picture in passes is put together of pictures.
func bytesAPixelOfPNG(model color.Model, content []byte) int64 {
	n := int64(4)
	switch model {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		n = 8
	}
	const interlace = pngHead - 4 - 1 // the last byte of IHDR
	if len(content) > interlace && content[interlace] != 0 {
		n *= 2
	}
	return n
}

func bytesAPixelOfJPEG(model color.Model, sequential bool) int64 {
	planes, made := int64(3), int64(0)
	switch model {
	case color.GrayModel:
		planes = 1
	case color.RGBAModel:
		made = 4
	case color.CMYKModel:
		planes, made = 4, 4
	}
	if sequential {
		return planes + made
	}
	return planes + made + 4*planes // all coefficients are kept to the end
}

// fitInto scales a picture down so that its longer side has so many pixels at most, on white.
func fitInto(picture image.Image, most int) *image.RGBA {
	from := picture.Bounds()
	w, h := from.Dx(), from.Dy()
	if longer := max(w, h); longer > most {
		w, h = max(1, w*most/longer), max(1, h*most/longer)
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.BiLinear.Scale(out, out.Bounds(), picture, from, draw.Over, nil)
	return out
}

// square gives the middle of a picture, scaled to so many pixels.
func square(picture image.Image, pixels int) *image.RGBA {
	b := picture.Bounds()
	side := min(b.Dx(), b.Dy())
	at := image.Pt(b.Min.X+(b.Dx()-side)/2, b.Min.Y+(b.Dy()-side)/2)
	out := image.NewRGBA(image.Rect(0, 0, pixels, pixels))
	draw.BiLinear.Scale(out, out.Bounds(), picture, image.Rectangle{Min: at, Max: at.Add(image.Pt(side, side))}, draw.Src, nil)
	return out
}

// upright turns a picture as EXIF's orientation says (1: it is upright).
func upright(in *image.RGBA, orientation int) *image.RGBA {
	w, h := in.Bounds().Dx(), in.Bounds().Dy()
	// where a pixel of the result comes from
	var from func(x, y int) (int, int)
	switch orientation {
	case 2:
		from = func(x, y int) (int, int) { return w - 1 - x, y }
	case 3:
		from = func(x, y int) (int, int) { return w - 1 - x, h - 1 - y }
	case 4:
		from = func(x, y int) (int, int) { return x, h - 1 - y }
	case 5:
		from = func(x, y int) (int, int) { return y, x }
	case 6:
		from = func(x, y int) (int, int) { return y, h - 1 - x }
	case 7:
		from = func(x, y int) (int, int) { return w - 1 - y, h - 1 - x }
	case 8:
		from = func(x, y int) (int, int) { return w - 1 - y, x }
	default:
		return in
	}
	size := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		size = image.Rect(0, 0, h, w)
	}
	out := image.NewRGBA(size)
	for y := range size.Dy() {
		for x := range size.Dx() {
			fx, fy := from(x, y)
			out.SetRGBA(x, y, in.RGBAAt(fx, fy))
		}
	}
	return out
}
