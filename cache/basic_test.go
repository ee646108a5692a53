package cache

import (
	"context"
	"crypto/rand"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
)

type cloudFile struct {
	File
	plain, cipher []byte
}

func makeFile(t testing.TB, size int) *cloudFile {
	t.Helper()
	f := &cloudFile{plain: make([]byte, size), cipher: make([]byte, size)}
	_, _ = rand.Read(f.plain)
	f.Handle, f.Size, f.Key = "h", int64(size), megacrypto.NewFileKey()
	c := megacrypto.NewCipher(f.Key)
	c.XORKeyStreamAt(f.cipher, f.plain, 0)
	var macs []megacrypto.ChunkMAC
	for i := range megacrypto.ChunkCount(f.Size) {
		a, b := megacrypto.ChunkBounds(i, f.Size)
		macs = append(macs, c.ChunkMAC(f.plain[a:b]))
	}
	f.Key.MAC = c.MetaMAC(macs)
	return f
}

func TestBasic(t *testing.T) {
	for _, size := range []int{1, 100, 131072, 131073, 1 << 20, 1<<20 + 1, 5 << 20, 20<<20 + 77} {
		for _, dir := range []string{"", t.TempDir()} {
			f := makeFile(t, size)
			c, err := Open(Options{Dir: dir, DiskFloor: -1, Fetch: func(_ context.Context, g File, off, n int64, w io.Writer) error {
				_, err := w.Write(f.cipher[off : off+n])
				return err
			}})
			require.NoError(t, err)
			r := c.NewReader(f.File)
			got, err := io.ReadAll(io.NewSectionReader(readerAt{r}, 0, f.Size))
			require.NoError(t, err)
			require.Equal(t, f.plain, got)
			r.Close()
			t.Logf("%d %+v %+v", size, c.State(f.File), c.Stats())
			require.NoError(t, c.Close())
		}
	}
}

type readerAt struct{ r *Reader }

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	return r.r.ReadAt(context.Background(), p, off)
}
