package needs

import (
	"os"
	"testing"
)

// File skips a test when a file of another package isn't there; MEGADISK_REQUIRE_PROGRAMS=1 makes it fail instead.
func File(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		missing(t, "MEGADISK_REQUIRE_PROGRAMS", path+" is not there: install the package that it belongs to")
	}
}
