package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// Files that the server spreads over six URLs are read through the mount, with each of the parts lost in turn, from
// beginning to end and here and there.
func TestSpreadFilesWithoutAPart(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t, megatest.RAID())
	const size = 3<<20 + 77
	file := func(how string, lost int) string { return fmt.Sprintf("%s without part %d", how, lost) }
	for lost := range 6 {
		for i, how := range []string{"read whole", "read here and there", "small"} {
			account.PutFile(account.Root(), file(how, lost), noise([]int{size, size, 70_000}[i], uint64(i)), time.Now())
		}
	}
	p.Login()
	p.Mount()
	for lost := range 6 {
		part := p.Server.Faults().Part(lost)
		switch lost % 3 {
		case 0:
			part.Fail(http.StatusServiceUnavailable, megatest.Always)
		case 1:
			part.Stall(20_000, megatest.Always)
		case 2:
			part.Cut(20_000, megatest.Always)
		}
		require.True(t, rightOrEIO(t, filepath.Join(p.Point, file("read whole", lost)), noise(size, 0)), "part %d", lost)
		require.True(t, rightOrEIO(t, filepath.Join(p.Point, file("small", lost)), noise(70_000, 2)), "part %d", lost)
		readHereAndThere(t, filepath.Join(p.Point, file("read here and there", lost)), noise(size, 1))
		p.Server.Faults().Clear()
	}
	p.Run("verify", p.Point)
}

// readHereAndThere reads pieces of a file.
func readHereAndThere(t *testing.T, path string, want []byte) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	random := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 10_000)
	for range 30 {
		off := random.IntN(len(want) - len(buf))
		_, err := f.ReadAt(buf, int64(off))
		require.NoError(t, err)
		require.Equal(t, want[off:off+len(buf)], buf, "at %d", off)
	}
}

// A server that always gives a wrong part is found out by the file's MAC, and left out.
func TestSpreadFilesWithAWrongPart(t *testing.T) {
	p, account := impatient(t)
	for lost := range 6 {
		for size, name := range map[int]string{70_000: "small", 3 << 20: "large"} {
			content := noise(size, uint64(lost))
			file := fmt.Sprintf("%s, part %d", name, lost)
			account.Put(megatest.PutSpec{Parent: account.Root(), Name: file, Content: content, Mtime: time.Now(), RAID: true})
			path := await(t, p, file)
			p.Server.Faults().Part(lost).Corrupt(megatest.Always)
			if name == "small" {
				require.True(t, rightOrEIO(t, path, content), file)
			} else {
				require.Eventually(t, func() bool { return rightOrEIO(t, path, content) }, bounded, 20*time.Millisecond, file)
			}
			p.Server.Faults().Clear()
		}
	}
}
