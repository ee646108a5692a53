// Package needs says what a test needs of the machine. What is missing skips the test with one loud line, and a
// variable turns that skip into a failure, so that green never means "not run".
package needs

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// FUSE skips a test on a machine without FUSE; MEGADISK_REQUIRE_FUSE=1 makes it fail instead.
func FUSE(t testing.TB) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
		return
	}
	missing(t, "MEGADISK_REQUIRE_FUSE", "/dev/fuse can't be opened: "+err.Error())
}

func missing(t testing.TB, variable, what string) {
	t.Helper()
	if os.Getenv(variable) == "1" {
		t.Fatalf("%s, and %s=1 says that it must be there", what, variable)
	}
	t.Skipf("SKIPPED, NOT RUN: %s", what)
}
