package megacrypto_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

// generated is a file whose bytes are computed, so that large ones need no memory.
type generated struct {
	size int64
	at   func(i int64) byte
}

func (g generated) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		if off+int64(i) >= g.size {
			return i, io.EOF
		}
		p[i] = g.at(off + int64(i))
	}
	return len(p), nil
}

func TestFingerprintVectors(t *testing.T) {
	type vector struct {
		Content string
		Size    int64
		Mtime   int64
		C       string
		CRC     string `json:"crc_hex"`
		Decoded int64  `json:"decoded_mtime"`
	}
	for _, v := range loadVectors[vector](t, "fingerprint") {
		at := func(i int64) byte { return byte(i*7 + 3) }
		if strings.Contains(v.Content, "i>>8") {
			at = func(i int64) byte { return byte(i ^ i>>8 ^ i>>16 ^ i>>24 ^ i>>32) }
		}
		f, err := mc.NewFingerprint(generated{v.Size, at}, v.Size, v.Mtime)
		require.NoError(t, err)
		require.Equal(t, v.C, f.String(), v.Size)
		require.Equal(t, unhex(t, v.CRC), f.CRC[:], v.Size)
		parsed, err := mc.ParseFingerprint(v.C)
		require.NoError(t, err)
		require.Equal(t, v.Decoded, parsed.Mtime)
		require.Equal(t, f, parsed)
	}
}

func TestMtimeVectors(t *testing.T) {
	var file struct {
		Values []struct {
			Value int64
			Bytes string `json:"bytes_hex"`
		} `json:"mtime_serialisation"`
	}
	readVectorFile(t, "fingerprint", &file)
	require.NotEmpty(t, file.Values)
	for _, v := range file.Values {
		want := append(make([]byte, 16), unhex(t, v.Bytes)...)
		require.Equal(t, mc.EncodeBase64(want), mc.Fingerprint{Mtime: v.Value}.String())
		f, err := mc.ParseFingerprint(mc.EncodeBase64(append(want, "ignored"...)))
		require.NoError(t, err)
		require.Equal(t, v.Value, f.Mtime)
	}
}

func TestFingerprintRefuses(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 16), append(make([]byte, 16), 9, 1, 1, 1, 1, 1, 1, 1, 1, 1), append(make([]byte, 16), 2, 1)} {
		_, err := mc.ParseFingerprint(mc.EncodeBase64(b))
		require.ErrorIs(t, err, mc.ErrFingerprint)
	}
	_, err := mc.ParseFingerprint("***")
	require.ErrorIs(t, err, mc.ErrFingerprint)
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestFingerprintReadErrors(t *testing.T) {
	cause := errors.New("cause")
	for _, size := range []int64{1, 5000, 50000} {
		_, err := mc.NewFingerprint(failing{cause}, size, 0)
		require.ErrorIs(t, err, cause)
		_, err = mc.NewFingerprint(bytes.NewReader(pattern(size-1)), size, 0)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
}

func TestFingerprintOfTheLargestFile(t *testing.T) {
	const size = 1<<63 - 1
	var last int64
	_, err := mc.NewFingerprint(generated{size, func(i int64) byte { last = max(last, i); return 0 }}, size, 0)
	require.NoError(t, err)
	require.Equal(t, int64(size-1), last)
}

func FuzzFingerprint(f *testing.F) {
	f.Add("AAAAAAAAAAAAAAAAAAAAAAQA8VNl")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		fp, err := mc.ParseFingerprint(s)
		if err != nil {
			require.ErrorIs(t, err, mc.ErrFingerprint)
			return
		}
		again, err := mc.ParseFingerprint(fp.String())
		require.NoError(t, err)
		require.Equal(t, fp, again)
	})
}
