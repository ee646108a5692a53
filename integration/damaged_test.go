package integration

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A block of what is staged goes bad on the disk: reading it is EIO in the mount, the rest of the file is read, and the
// file isn't uploaded; flush and status say why. Written again, it goes up.
func TestDamagedBlockOfStagedBytes(t *testing.T) {
	p, account := mountedProgram(t)
	p.Run("pause")
	path := filepath.Join(p.Point, "f")
	content := make([]byte, 1<<20)
	for i := range content {
		content[i] = byte(i >> 12)
	}
	require.NoError(t, os.WriteFile(path, content, 0o644))
	p.Run("unmount", "--no-wait", p.Point) // so that no page of the kernel holds it
	segments, err := filepath.Glob(filepath.Join(p.Dir, "state", "*", "*", "staging", "*.seg"))
	require.NoError(t, err)
	require.Len(t, segments, 1)
	raw, err := os.ReadFile(segments[0])
	require.NoError(t, err)
	raw[len(raw)-1000] ^= 1 // in the last record, of the last 128 KiB
	require.NoError(t, os.WriteFile(segments[0], raw, 0o600))

	p.Mount()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	got := make([]byte, 512<<10)
	_, err = f.ReadAt(got, 0)
	require.NoError(t, err)
	require.True(t, string(content[:len(got)]) == string(got))
	_, err = f.ReadAt(got[:4096], 1<<20-4096)
	require.ErrorIs(t, err, syscall.EIO)
	require.NotErrorIs(t, err, io.EOF)
	p.Run("resume")
	_, errs, status := p.Try("", "flush")
	require.NotZero(t, status, "it isn't in the cloud")
	require.Contains(t, errs, "damaged")
	require.Contains(t, p.Run("status"), "damaged")
	require.NotContains(t, account.Tree(), "f")

	require.NoError(t, os.WriteFile(path, content, 0o644))
	p.Run("flush")
	require.True(t, string(content) == string(account.ReadFile(handleOf(t, account, "f"))))
}
