package writeback

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// failpointVariable names a moment at which the process kills itself, for the
// crash tests: NAME or NAME:N for the N-th time that it comes by.
const failpointVariable = "MEGADISK_FAILPOINT"

var failpointName, failpointCount = readFailpoint()

func readFailpoint() (string, *atomic.Int64) {
	left := &atomic.Int64{}
	name, count, _ := strings.Cut(os.Getenv(failpointVariable), ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 1 {
		n = 1
	}
	left.Store(n)
	return name, left
}

// failpoint kills the process as kill -9 does, if the variable says so.
func failpoint(name string) {
	if failpointName == "" || failpointName != name || failpointCount.Add(-1) != 0 {
		return
	}
	// There is nothing left to do about an error: the signal can't be caught.
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
