package needs

import (
	"os/exec"
	"testing"
)

// Programs skips a test when one of the programs that it runs isn't installed; MEGADISK_REQUIRE_PROGRAMS=1
// makes it fail instead. `make deps` installs them.
func Programs(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing(t, "MEGADISK_REQUIRE_PROGRAMS", name+" is not installed (`make deps` installs it)")
		}
	}
}
