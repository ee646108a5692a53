package thumbs

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The thumbnails of a desktop: PNG files named by the MD5 of the file's URI, with the URI and the file's time in them
// (https://specifications.freedesktop.org/thumbnail-spec).

// size is one of the desktop's sizes.
type size struct {
	folder string
	pixels int // on the longer side, at most
}

var (
	normal = size{"normal", 128}
	large  = size{"large", 256}
)

// store is a folder of thumbnails.
type store struct{ dir string }

// entry is what one thumbnail is of.
type entry struct {
	uri   string
	mtime int64 // Unix seconds
}

func (s store) path(z size, uri string) string {
	sum := md5.Sum([]byte(uri))
	return filepath.Join(s.dir, z.folder, hex.EncodeToString(sum[:])+".png")
}

// has tells whether the thumbnail is there and of that time.
func (s store) has(z size, e entry) bool {
	f, err := os.Open(s.path(z, e.uri))
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	return bytes.Contains(head[:n], textChunk("Thumb::MTime", strconv.FormatInt(e.mtime, 10))) &&
		bytes.Contains(head[:n], textChunk("Thumb::URI", e.uri))
}

// put writes a thumbnail, so that nobody sees half of it.
func (s store) put(z size, e entry, picture image.Image) error {
	var data bytes.Buffer
	if err := png.Encode(&data, picture); err != nil {
		return fmt.Errorf("encoding a thumbnail: %w", err)
	}
	whole := withText(data.Bytes(), [][2]string{
		{"Thumb::URI", e.uri}, {"Thumb::MTime", strconv.FormatInt(e.mtime, 10)}, {"Software", "megadisk"},
	})
	path := s.path(z, e.uri)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the folder of thumbnails: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".megadisk-*") // mode 0600
	if err != nil {
		return fmt.Errorf("making a thumbnail: %w", err)
	}
	_, err = f.Write(whole)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("writing a thumbnail: %w", err)
	}
	return nil
}

// pngHead is the length of what comes first in every PNG: signature and IHDR.
const pngHead = 8 + 4 + 4 + 13 + 4

// withText puts text chunks behind the header of a PNG.
func withText(data []byte, texts [][2]string) []byte {
	out := bytes.Clone(data[:pngHead])
	for _, t := range texts {
		out = append(out, textChunk(t[0], t[1])...)
	}
	return append(out, data[pngHead:]...)
}

func textChunk(key, value string) []byte {
	body := append([]byte("tEXt"+key+"\x00"), value...)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)-4))
	chunk = append(chunk, body...)
	return binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(body))
}

// fileURI is the URI of a path as GLib writes it, which is what desktops hash.
func fileURI(path string) string {
	const plain = "-._~!$&'()*+,=:@/" // besides letters and digits
	var out strings.Builder
	out.WriteString("file://")
	for i := range len(path) {
		c := path[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(plain, c) >= 0:
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}
