package needs

import (
	"os"
	"os/exec"
	"testing"
)

// Root skips a test that does what only root may, in a mount namespace of its own; MEGADISK_REQUIRE_ROOT=1 makes it fail
// instead.
func Root(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "MEGADISK_REQUIRE_ROOT", "this needs root")
	}
	if out, err := exec.Command("unshare", "--mount", "--propagation", "slave", "true").CombinedOutput(); err != nil {
		missing(t, "MEGADISK_REQUIRE_ROOT", "no mount namespace can be made: "+string(out))
	}
}
