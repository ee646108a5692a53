package fs_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/harness"
)

// mmapChild maps a file shared, closes its descriptor (FLUSH), and writes through the map afterwards: the WRITEs come
// between FLUSH and RELEASE.
func mmapChild(args []string) error {
	path := args[0]
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mapping: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if !bytes.Equal(m[:5], []byte("begin")) {
		return fmt.Errorf("the map begins with %q", m[:5])
	}
	copy(m[4096:], "in the middle")
	copy(m[len(m)-3:], "end")
	if err := unix.Msync(m[:8192], unix.MS_SYNC); err != nil {
		return fmt.Errorf("msync: %w", err)
	}
	copy(m[10000:], "after msync") // goes out at munmap
	return unix.Munmap(m)
}

func TestWritesThroughASharedMap(t *testing.T) {
	h := harness.New(t)
	want := append([]byte("begin"), pattern(8, 300<<10)...)
	write(t, h.Path("a"), want)
	h.Drain() // so that the map lies over a version in the cloud
	inChild(t, "mmap", h.Path("a"))
	copy(want[4096:], "in the middle")
	copy(want[10000:], "after msync")
	copy(want[len(want)-3:], "end")
	requireContent(t, want, h.Path("a"))
	h.Drain()
	requireInCloud(t, h, want, "a")
	require.Len(t, h.Account.Versions(h.Account.Find("a")), 2, "the version from before, and one for all that the map changed")
}
