package thumbs

import (
	"bytes"
	"encoding/binary"
	"image/jpeg"
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
