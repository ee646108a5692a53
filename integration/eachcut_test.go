package integration

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// TestPowerIsCutAtEachChange is the life of TestDiesAtEachChangeOfItsState with a loss of power in place of a death: of what
// was written to state and cache only what was synced is there. No start is refused for that, and all that was synced or flushed
// is there.
func TestPowerIsCutAtEachChange(t *testing.T) {
	needs.FUSE(t)
	needs.Root(t)
	for _, n := range someOf([]int{20, 51, 74, 103, 140}) {
		met := true
		t.Run(strconv.Itoa(n), func(t *testing.T) { met = cutPowerAt(t, n) })
		if !met {
			break
		}
	}
}

func cutPowerAt(t *testing.T, n int) bool {
	p, account := program.WithAccount(t)
	account.PutFile(account.Root(), "old", []byte("old"), megatestTime)
	account.PutFile(account.Root(), "saved", []byte("saved"), megatestTime)
	told, err := os.Create(filepath.Join(t.TempDir(), "told"))
	require.NoError(t, err)
	defer told.Close()
	point, folder := t.TempDir(), t.TempDir()
	disk := runBadDisk(t, told, point, folder, "cut", strconv.Itoa(n))
	p.Env = append(p.Env, "MEGADISK_STATE_DIR="+filepath.Join(point, "state"), "MEGADISK_CACHE_DIR="+filepath.Join(point, "cache"))

	life := lifeOfAMount()
	may := []map[string]string{life[0].holds}
	var failed error
	for _, d := range life {
		may = append(may, d.holds)
		if failed = d.do(p); failed != nil {
			break
		}
		if d.safe {
			may = []map[string]string{d.holds}
		}
	}
	what, err := os.ReadFile(told.Name())
	require.NoError(t, err)
	if len(what) == 0 {
		require.NoError(t, failed)
		return false
	}
	t.Logf("%s: %v", strings.TrimSpace(string(what)), failed)
	for _, st := range p.Statuses() {
		_ = unix.Kill(st.PID, unix.SIGKILL)
		program.AwaitGone(t, st.PID)
	}
	_ = unix.Unmount(p.Point, unix.MNT_DETACH)
	require.Eventually(t, func() bool { return unix.Unmount(point, 0) == nil }, bounded, 10e6)
	require.NoError(t, disk.Wait())
	runBadDisk(t, told, point, folder)

	if _, errs, status := p.Try("", "mount", p.Point); status != 0 {
		require.NotContains(t, errs, "damaged")
		p.Login()
		p.Mount()
	}
	requireOneOf(t, may, contents(t, p))
	sameInCloud(t, p, account, ".")
	requireOneOf(t, may, contents(t, p))
	p.Run("unmount", p.Point)
	return true
}

// requireOneOf wants each path as it was after one of some deeds.
func requireOneOf(t *testing.T, may []map[string]string, here map[string]string) {
	t.Helper()
	all := maps.Clone(here)
	for _, m := range may {
		maps.Copy(all, m)
	}
	for path := range all {
		var want []string
		for _, m := range may {
			want = append(want, m[path]) // "": it isn't there
		}
		if slices.Contains(want, "") || path == "saved.tmp" {
			continue // it may be there in part
		}
		require.Contains(t, want, here[path], "%s of %v", path, fmt.Sprint(here))
	}
}
