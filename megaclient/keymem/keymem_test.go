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
	at := uintptr(unsafe.Pointer(&k.mem[0]))
	smaps, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	here := false
	for line := range strings.Lines(string(smaps)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			here = at >= from && at < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && here {
			for _, flag := range []string{"lo", "dd", "wf"} {
				require.Contains(t, strings.Fields(flags), flag)
			}
			return
		}
	}
	t.Fatal("the page is in no map")
}
