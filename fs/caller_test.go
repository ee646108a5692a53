package fs

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestProcessNameIsTheProgramsAlsoForItsThreads(t *testing.T) {
	own := filepath.Base(os.Args[0])
	own = own[:min(len(own), 15)]
	require.Equal(t, own, ProcessName(uint32(os.Getpid())))
	named := make(chan string)
	done := make(chan struct{})
	defer close(done)
	var rename func()
	rename = func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if unix.Gettid() == os.Getpid() {
			go rename() // on another one, while this holds the process's own
			<-done
			runtime.UnlockOSThread()
			return
		}
		name, err := unix.BytePtrFromString("pool-1")
		if err == nil {
			err = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
		}
		if err != nil {
			named <- err.Error()
			return
		}
		named <- ProcessName(uint32(unix.Gettid()))
	}
	go rename()
	require.Equal(t, own, <-named)
	require.Empty(t, ProcessName(0))
	require.True(t, isOne([]string{"a", "thunar*"}, "Thunar"))
	require.False(t, isOne([]string{"*"}, ""), "who it is can't be told")
	require.False(t, isOne(nil, "a"))
}
