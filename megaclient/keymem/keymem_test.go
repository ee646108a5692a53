package keymem

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestKeysAreKept(t *testing.T) {
	var keys []*Key
	for i := range 1000 { // several pages
		keys = append(keys, Keep(fmt.Appendf(nil, "%032d", i)))
	}
	for i, k := range keys {
		var got [32]byte
		k.CopyTo(got[:])
		require.Equal(t, fmt.Sprintf("%032d", i), string(got[:]))
	}
	short := Keep([]byte("short"))
	got := make([]byte, 5)
	short.CopyTo(got)
	require.Equal(t, "short", string(got))
	require.Panics(t, func() { Keep(make([]byte, 33)) })
}

// What nobody refers to any more is cleared and used again.
func TestKeysAreCleared(t *testing.T) {
	mem := Keep([]byte("gone")).mem
	require.Eventually(t, func() bool {
		runtime.GC()
		pool.mu.Lock()
		defer pool.mu.Unlock()
		for _, free := range pool.free {
			if &free[0] == &mem[0] {
				return string(free[:4]) == "\x00\x00\x00\x00"
			}
		}
		return false
	}, time.Minute, time.Millisecond)
}

// The kernel's word that the page is locked (lo), and neither dumped (dd) nor given to children (wf).
func TestPagesAreLocked(t *testing.T) {
	k := Keep([]byte("key"))
	if err := Problem(); err != nil {
		t.Skip("SKIPPED, NOT RUN: ", err)
	}
	require.Subset(t, flagsOf(t, k.mem), []string{"lo", "dd", "wf"})
}

// A limit of what may be locked is no reason to have keys dumped.
func TestPagesThatCannotBeLockedAreNotDumped(t *testing.T) {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(page)) }()
	require.ErrorIs(t, protect(page, func([]byte) error { return unix.ENOMEM }), unix.ENOMEM)
	flags := flagsOf(t, page)
	require.Subset(t, flags, []string{"dd", "wf"})
	require.NotContains(t, flags, "lo")
}

// flagsOf are the kernel's words about the memory of b.
func flagsOf(t *testing.T, b []byte) []string {
	t.Helper()
	at := uintptr(unsafe.Pointer(&b[0]))
	smaps, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	here := false
	for line := range strings.Lines(string(smaps)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			here = at >= from && at < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && here {
			return strings.Fields(flags)
		}
	}
	t.Fatal("the memory is in no map")
	return nil
}
