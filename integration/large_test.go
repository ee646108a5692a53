package integration

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// TestLargeFile copies a large file in, flushes, empties the cache and copies it out, within the memory that a
// laptop can spare. MEGADISK_LONG=1 makes it 1 GiB.
func TestLargeFile(t *testing.T) {
	needs.FUSE(t)
	size, limit := int64(192<<20), int64(300<<20)
	if os.Getenv("MEGADISK_LONG") == "1" {
		size = 1 << 30
	}
	server := megatest.NewServer(megatest.WithDir(t.TempDir()))
	t.Cleanup(server.Close)
	server.AddAccount(program.Email, program.Password)
	p := program.New(t, server)
	p.Login()
	p.Mount()

	want := copyRandom(t, filepath.Join(p.Point, "large"), size)
	p.Run("flush")
	require.Less(t, peakMemory(t, p.Statuses()[0].PID), limit, "while writing and uploading")
	p.Run("unmount", p.Point)
	require.NoError(t, os.RemoveAll(filepath.Join(p.Dir, "cache")))

	p.Mount()
	before := server.Stats()
	require.Equal(t, want, hashOf(t, filepath.Join(p.Point, "large")))
	require.GreaterOrEqual(t, server.Stats().BytesDown-before.BytesDown, size, "it came from the cloud")
	require.Less(t, peakMemory(t, p.Statuses()[0].PID), limit, "while reading")
}

func copyRandom(t *testing.T, path string, size int64) string {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	sum, src := sha256.New(), rand.NewChaCha8([32]byte{1})
	_, err = io.CopyN(io.MultiWriter(f, sum), src, size)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func hashOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	require.NoError(t, err)
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// peakMemory is the most that the process ever had resident, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	peak := memoryOf(t, pid, "VmHWM")
	t.Logf("peak memory %d MiB", peak>>20)
	return peak
}

// memoryOf is a figure of a process's memory, in bytes.
func memoryOf(t *testing.T, pid int, what string) int64 {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), what+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			require.NoError(t, err)
			return kib << 10
		}
	}
	t.Fatal("no ", what)
	return 0
}
