package debris

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzOpenItem: whatever the disk made of an item, it is read as it was put in or is damaged.
func FuzzOpenItem(f *testing.F) {
	content := pattern(1, 300)
	info := Info{Path: "/a/b", Size: int64(len(content)), Mtime: 5, Why: Deleted}
	var whole bytes.Buffer
	require.NoError(f, writeItem(&whole, testKey(), info, bytes.NewReader(content).ReadAt))
	f.Add(0, whole.Bytes())
	f.Add(headerSize, []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(9, []byte{1})
	f.Fuzz(func(t *testing.T, at int, patch []byte) {
		b := bytes.Clone(whole.Bytes())
		if at < 0 || at > len(b) || len(patch) > 1<<16 {
			return
		}
		b = append(b[:at], append(patch, b[min(at+len(patch), len(b)):]...)...)
		file, err := os.Create(filepath.Join(t.TempDir(), "item"))
		require.NoError(t, err)
		defer file.Close()
		_, err = file.Write(b)
		require.NoError(t, err)
		r := &Reader{f: file, at: -1}
		if r.box, r.Info, r.data, err = openItem(file, testKey()); err != nil {
			return
		}
		require.Equal(t, info, r.Info)
		if got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size)); err == nil {
			require.Equal(t, content, got)
		}
	})
}
